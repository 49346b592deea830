//! The longest time without an acknowledgement.

/// A time in which orders were in flight and none was acknowledged, in nanoseconds after the start of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    pub start: i64,
    pub end: i64,
}

impl Stall {
    pub fn nanos(self) -> i64 {
        self.end - self.start
    }
}

/// Finds the longest stall. It begins with the last acknowledgement, or with the first order in flight if that is
/// later. It ends with the next acknowledgement, or when no order is in flight any more. A delivery report with an
/// error does not end it. All times are in nanoseconds after the start of the run.
#[derive(Debug)]
pub struct StallWatch {
    /// The warm-up, which is not part of the figures, ends here: the part of a stall before it is not counted.
    measured_from: i64,
    /// When the current stall began. Without meaning while no order is in flight.
    since: i64,
    longest: Option<Stall>,
}

impl StallWatch {
    pub fn new(measured_from: i64) -> Self {
        Self { measured_from, since: 0, longest: None }
    }

    /// An order was enqueued, and no other one was in flight.
    pub fn first_in_flight(&mut self, now: i64) {
        self.since = now;
    }

    /// An order was acknowledged.
    pub fn acknowledged(&mut self, now: i64) {
        self.end(now);
        self.since = now;
    }

    /// The last order in flight ended without an acknowledgement, or the run ended with orders in flight.
    pub fn end(&mut self, now: i64) {
        let stall = Stall { start: self.since.max(self.measured_from), end: now };
        if stall.nanos() > self.longest.map_or(0, Stall::nanos) {
            self.longest = Some(stall);
        }
    }

    /// The longest stall that has ended.
    pub fn longest(&self) -> Option<Stall> {
        self.longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn longest(measured_from: i64, events: impl FnOnce(&mut StallWatch)) -> Option<(i64, i64)> {
        let mut watch = StallWatch::new(measured_from);
        events(&mut watch);
        watch.longest().map(|stall| (stall.start, stall.end))
    }

    #[test]
    fn a_stall_lasts_from_one_acknowledgement_to_the_next() {
        let found = longest(0, |watch| {
            watch.first_in_flight(10);
            watch.acknowledged(15);
            watch.acknowledged(15);
            watch.acknowledged(40);
            watch.acknowledged(60);
        });
        assert_eq!(found, Some((15, 40)));
    }

    #[test]
    fn a_pause_between_orders_is_not_a_stall() {
        let found = longest(0, |watch| {
            watch.first_in_flight(0);
            watch.acknowledged(3);
            watch.first_in_flight(1_000);
            watch.acknowledged(1_005);
        });
        assert_eq!(found, Some((1_000, 1_005)));
    }

    #[test]
    fn only_the_part_of_a_stall_after_the_warm_up_counts() {
        let stalled_until = |end| {
            longest(100, |watch| {
                watch.first_in_flight(10);
                watch.acknowledged(20);
                watch.acknowledged(end);
            })
        };
        assert_eq!((stalled_until(90), stalled_until(130)), (None, Some((100, 130))));
    }

    #[test]
    fn a_run_without_orders_has_no_stall() {
        assert_eq!(longest(0, |_| {}), None);
    }
}
