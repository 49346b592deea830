//! Decides what to do now: send an order, wait, or end.

use std::time::Duration;

use shared::ledger::Shard;

use super::{arrivals::Arrivals, step::Phase};

/// The source of the due times.
#[derive(Clone, Debug)]
pub enum Pace {
    Scheduled(Box<Arrivals>),
    /// No schedule: as fast as the brokers acknowledge. An order is due when it is sent.
    Unpaced,
}

/// When no more orders become due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// At this time, in nanoseconds after the start.
    At(u64),
    /// After this number of orders, without those of the warm-up.
    Orders(u64),
    /// At a stop signal.
    AtStop,
}

/// An order of the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Position in the run, from 0. Skipped orders and those of other shards are counted.
    pub number: u64,
    /// Due time, in nanoseconds after the start.
    pub due: u64,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Send(Order),
    /// No order is due before this time, in nanoseconds after the start.
    WaitUntil(u64),
    /// The schedule is over.
    EndOfSchedule,
}

/// Decides what to do at each time. Every order that is due is sent at once. After a stall, orders up to `catch_up`
/// behind are sent and older ones are skipped and counted. All shards of a run iterate over the same schedule, and each
/// takes its own orders.
#[derive(Clone, Debug)]
pub struct Pacer {
    pace: Pace,
    end: End,
    warm_up: u64,
    catch_up: u64,
    shard: Shard,
    number: u64,
    measured: u64,
    skipped: Skipped,
}

/// Orders that were not sent because they were further behind than the catch-up limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    pub warm_up: u64,
    pub measured: u64,
}

impl Pacer {
    /// A pacer at its first order. Orders due within `warm_up` belong to the warm-up phase.
    pub fn new(pace: Pace, end: End, warm_up: Duration, catch_up: Duration) -> Self {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let (warm_up, catch_up, shard) = (nanos(warm_up), nanos(catch_up), Shard::SINGLE);
        Self { pace, end, warm_up, catch_up, shard, number: 0, measured: 0, skipped: Skipped::default() }
    }

    /// Restricts the schedule to the orders of `shard`.
    pub fn of_shard(self, shard: Shard) -> Self {
        match (&self.pace, self.end) {
            (Pace::Scheduled(_), _) => Self { shard, ..self },
            // Without a schedule, a shard counts only its own orders.
            (Pace::Unpaced, End::Orders(orders)) => {
                let end = End::Orders(shard.share_of(orders));
                Self { shard, number: shard.first(), end, ..self }
            }
            (Pace::Unpaced, _) => Self { shard, number: shard.first(), ..self },
        }
    }

    /// What to do at `now`, in nanoseconds after the start (negative before it).
    pub fn next(&mut self, now: i64) -> Next {
        let Ok(now) = u64::try_from(now) else { return Next::WaitUntil(0) };
        loop {
            let due = match &self.pace {
                Pace::Scheduled(arrivals) => arrivals.peek(),
                Pace::Unpaced => now,
            };
            if self.is_over(due) {
                return Next::EndOfSchedule;
            }
            if due > now {
                return Next::WaitUntil(due);
            }
            let order = self.take_order(due);
            if !self.shard.has(order.number) {
                continue;
            }
            if !self.is_too_late(order, now) {
                return Next::Send(order);
            }
            self.skip(order);
        }
    }

    /// The next order of this shard, if it is due before `time`, in nanoseconds after the start. It is neither to be sent
    /// nor counted as skipped. `None` for an unpaced run.
    pub fn take_before(&mut self, time: u64) -> Option<Order> {
        loop {
            let Pace::Scheduled(arrivals) = &self.pace else { return None };
            let due = arrivals.peek();
            if due >= time || self.is_over(due) {
                return None;
            }
            let order = self.take_order(due);
            if self.shard.has(order.number) {
                return Some(order);
            }
        }
    }

    /// When the next order is due, which may be that of another shard, in nanoseconds after the start. `None` for an
    /// unpaced run and after the schedule.
    pub fn next_due(&self) -> Option<u64> {
        let Pace::Scheduled(arrivals) = &self.pace else { return None };
        Some(arrivals.peek()).filter(|due| !self.is_over(*due))
    }

    /// Position in the run of the next order, which may be that of another shard.
    pub fn next_number(&self) -> u64 {
        self.number
    }

    /// The phase of an order that is due at this time, in nanoseconds after the start.
    pub fn phase(&self, due: u64) -> Phase {
        if due < self.warm_up { Phase::WarmUp } else { Phase::Measured }
    }

    /// Whether the order is further behind than the catch-up limit at `now`, in nanoseconds after the start.
    pub fn is_too_late(&self, order: Order, now: u64) -> bool {
        self.is_paced() && order.due.saturating_add(self.catch_up) < now
    }

    /// Counts an order that [`Self::next`] returned as skipped.
    pub fn skip(&mut self, order: Order) {
        match self.phase(order.due) {
            Phase::WarmUp => self.skipped.warm_up += 1,
            Phase::Measured => self.skipped.measured += 1,
        }
    }

    /// Returns the last order of an unpaced run, which was not sent. The next order has its number again.
    pub fn return_unsent(&mut self, order: Order) {
        self.number = order.number;
        if order.due >= self.warm_up {
            self.measured -= 1;
        }
    }

    fn is_over(&self, due: u64) -> bool {
        match self.end {
            End::At(end) => due >= end,
            End::Orders(orders) => self.measured >= orders,
            End::AtStop => false,
        }
    }

    fn take_order(&mut self, due: u64) -> Order {
        let order = Order { number: self.number, due };
        self.number += match &mut self.pace {
            Pace::Scheduled(arrivals) => {
                arrivals.next();
                1
            }
            Pace::Unpaced => self.shard.stride(),
        };
        if due >= self.warm_up {
            self.measured += 1;
        }
        order
    }

    pub fn is_paced(&self) -> bool {
        matches!(self.pace, Pace::Scheduled(_))
    }

    pub fn skipped(&self) -> Skipped {
        self.skipped
    }

    /// Length of the schedule without the warm-up: until its end, or until the next due time if that is earlier. `None`
    /// for an unpaced run.
    pub fn length(&self) -> Option<Duration> {
        let Pace::Scheduled(arrivals) = &self.pace else { return None };
        let end = match self.end {
            End::At(end) => arrivals.peek().min(end),
            End::Orders(_) | End::AtStop => arrivals.peek(),
        };
        Some(Duration::from_nanos(end.saturating_sub(self.warm_up)))
    }

    /// End of the schedule after the start, if it ends at a time.
    pub fn end(&self) -> Option<Duration> {
        match self.end {
            End::At(end) => Some(Duration::from_nanos(end)),
            End::Orders(_) | End::AtStop => None,
        }
    }

    /// Whether it is certain that no order of the run becomes due after the warm-up.
    pub fn is_empty(&self) -> bool {
        match (&self.pace, self.end) {
            (Pace::Scheduled(arrivals), End::At(end)) => !arrivals.may_have_orders(self.warm_up, end),
            _ => false,
        }
    }

    /// Number of orders of this shard, if known; an expected value with Poisson arrivals.
    pub fn expected(&self) -> Option<u64> {
        match (&self.pace, self.end) {
            (Pace::Scheduled(arrivals), End::At(end)) => Some(self.shard.share_of(arrivals.count_before(end))),
            (Pace::Scheduled(arrivals), End::Orders(orders)) => {
                Some(self.shard.share_of(arrivals.count_before(self.warm_up) + orders))
            }
            (Pace::Unpaced, End::Orders(orders)) => Some(orders),
            (Pace::Unpaced, End::At(_)) | (_, End::AtStop) => None,
        }
    }

    /// Number of orders of this shard that became due before `now`, in nanoseconds after the start. Where the arrivals
    /// are a Poisson process, they are taken to be counted: `now` must not go back. `None` for an unpaced run.
    pub fn became_due_by(&mut self, now: u64) -> Option<u64> {
        let Pace::Scheduled(arrivals) = &self.pace else { return None };
        if !arrivals.are_random() {
            return self.due_by(now);
        }
        while self.take_before(now).is_some() {}
        Some(self.shard.share_of(self.number))
    }

    /// Number of orders of this shard that are due by `now`, in nanoseconds after the start; an expected value with
    /// Poisson arrivals. `None` for an unpaced run.
    pub fn due_by(&self, now: u64) -> Option<u64> {
        let Pace::Scheduled(arrivals) = &self.pace else { return None };
        let due = self.shard.share_of(arrivals.count_before(now));
        Some(self.expected().map_or(due, |all| due.min(all)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::{
            arrival::Arrival,
            profile::{
                Profile,
                tests::{any_profile, rate},
            },
        },
        *,
    };

    fn arrivals(profile: Profile) -> Arrivals {
        Arrivals::new(profile, Arrival::Constant, None, 0)
    }

    fn pacer(profile: Profile, end: End, catch_up: Duration) -> Pacer {
        Pacer::new(Pace::Scheduled(Box::new(arrivals(profile))), end, Duration::ZERO, catch_up)
    }

    proptest! {
        /// Compares a sender that stalls in any pattern with the schedule.
        #[test]
        fn no_order_is_early_or_repeated_and_each_is_sent_or_skipped(
            profile in any_profile(),
            stalls in prop::collection::vec(1..900_000_000u64, 1..40),
            catch_up in 0..2_000u64,
        ) {
            let catch_up = Duration::from_millis(catch_up);
            let end: u64 = stalls.iter().sum::<u64>() / 2;
            let mut pacer = pacer(profile.clone(), End::At(end), catch_up);
            let (mut now, mut sent) = (0, Vec::new());
            for stall in stalls {
                while let Next::Send(order) = pacer.next(now) {
                    prop_assert!(order.due as i64 <= now, "sent early");
                    prop_assert!(now - order.due as i64 <= catch_up.as_nanos() as i64, "caught up too far");
                    sent.push(order);
                }
                now += stall as i64;
            }
            while let Next::Send(order) = pacer.next(now) {
                sent.push(order);
            }
            prop_assert_eq!(pacer.next(now), Next::EndOfSchedule);
            prop_assert_eq!(sent.len() as u64 + pacer.skipped().measured, arrivals(profile.clone()).count_before(end));
            prop_assert!(sent.is_sorted_by(|a, b| a.number < b.number));
            let due: Vec<u64> = arrivals(profile).take_while(|due| *due < end).collect();
            prop_assert!(sent.iter().all(|order| due[order.number as usize] == order.due), "the schedule was shifted");
        }
    }

    #[test]
    fn a_sender_in_time_skips_nothing_and_waits_between_orders() {
        let mut pacer = pacer(Profile::constant(rate(1_000.0)), End::Orders(3), Duration::from_secs(2));
        assert_eq!(pacer.next(-5), Next::WaitUntil(0));
        for number in 0..3 {
            let due = number * 1_000_000;
            assert_eq!(pacer.next(due as i64), Next::Send(Order { number, due }));
        }
        assert_eq!((pacer.next(2_000_001), pacer.skipped()), (Next::EndOfSchedule, Skipped::default()));
        assert_eq!((pacer.length(), pacer.expected()), (Some(Duration::from_millis(3)), Some(3)));
    }

    #[test]
    fn the_warm_up_is_sent_before_the_count_and_is_not_measured() {
        let pace = Pace::Scheduled(Box::new(arrivals(Profile::constant(rate(10.0)))));
        let mut pacer = Pacer::new(pace, End::Orders(4), Duration::from_secs(1), Duration::from_secs(60));
        assert_eq!(pacer.expected(), Some(14));
        let mut sent = 0;
        while let Next::Send(_) = pacer.next(10_000_000_000) {
            sent += 1;
        }
        assert_eq!((sent, pacer.length()), (14, Some(Duration::from_millis(400))));
    }

    #[test]
    fn skipped_orders_of_the_warm_up_are_counted_apart() {
        let pace = Pace::Scheduled(Box::new(arrivals(Profile::constant(rate(10.0)))));
        let mut pacer = Pacer::new(pace, End::Orders(10), Duration::from_secs(1), Duration::from_millis(500));
        assert_eq!(pacer.next(1_700_000_000), Next::Send(Order { number: 12, due: 1_200_000_000 }));
        assert_eq!(pacer.skipped(), Skipped { warm_up: 10, measured: 2 });
    }

    #[test]
    fn shards_share_a_schedule_without_gap_or_overlap() {
        let all = pacer(Profile::constant(rate(1_000.0)), End::Orders(100), Duration::from_secs(2));
        let orders = |mut pacer: Pacer| {
            std::iter::from_fn(move || match pacer.next(1_000_000_000) {
                Next::Send(order) => Some(order),
                _ => None,
            })
        };
        let whole: Vec<Order> = orders(all.clone()).collect();
        let mut shared = Vec::new();
        for shard in "1/3".parse::<Shard>().unwrap().all() {
            let mine = all.clone().of_shard(shard);
            let expected = mine.expected();
            assert_eq!(mine.due_by(u64::MAX), expected);
            let before = shared.len();
            shared.extend(orders(mine));
            assert_eq!(Some((shared.len() - before) as u64), expected);
        }
        shared.sort_by_key(|order| order.number);
        assert_eq!(shared, whole);
        let unpaced = Pacer::new(Pace::Unpaced, End::Orders(10), Duration::ZERO, Duration::ZERO);
        let second: Vec<u64> = orders(unpaced.of_shard("2/4".parse().unwrap())).map(|order| order.number).collect();
        assert_eq!(second, [1, 5, 9]);
    }

    #[test]
    fn orders_that_are_taken_before_a_time_are_neither_sent_nor_skipped_and_the_rest_is_unchanged() {
        let pace = Pace::Scheduled(Box::new(arrivals(Profile::constant(rate(10.0)))));
        let all = Pacer::new(pace, End::Orders(20), Duration::from_secs(1), Duration::from_secs(60));
        let mut resumed = all.clone().of_shard("2/3".parse().unwrap());
        let earlier: Vec<_> = std::iter::from_fn(|| resumed.take_before(1_500_000_000)).collect();
        assert_eq!(earlier.iter().map(|order| order.number).collect::<Vec<_>>(), [1, 4, 7, 10, 13]);
        assert_eq!((resumed.phase(earlier[2].due), resumed.phase(earlier[3].due)), (Phase::WarmUp, Phase::Measured));
        assert_eq!(resumed.next_number(), 15);
        let mut sent = Vec::new();
        while let Next::Send(order) = resumed.next(10_000_000_000) {
            sent.push((order.number, order.due));
        }
        assert_eq!(sent, [16, 19, 22, 25, 28].map(|n| (n, n * 100_000_000)));
        assert_eq!((resumed.skipped(), resumed.take_before(u64::MAX)), (Skipped::default(), None));
    }

    #[test]
    fn the_number_that_became_due_is_that_of_the_orders_that_were_sent_or_skipped() {
        for arrival in [Arrival::Constant, Arrival::Poisson] {
            let arrivals = Arrivals::new(Profile::constant(rate(1_000.0)), arrival, None, 7);
            let (pace, catch_up) = (Pace::Scheduled(Box::new(arrivals)), Duration::from_millis(100));
            let all = Pacer::new(pace, End::Orders(2_500), Duration::ZERO, catch_up);
            for shard in "1/3".parse::<Shard>().unwrap().all() {
                let (mut sending, mut counting) = (all.clone().of_shard(shard), all.clone().of_shard(shard));
                let mut sent = 0;
                for now in [0, 1, 2, 4].map(|second| second * 1_000_000_000) {
                    while let Next::Send(_) = sending.next(now as i64) {
                        sent += 1;
                    }
                    assert_eq!(counting.became_due_by(now + 1), Some(sent + sending.skipped().measured));
                }
                assert_eq!(counting.became_due_by(u64::MAX), Some(shard.share_of(2_500)));
            }
        }
        let mut unpaced = Pacer::new(Pace::Unpaced, End::AtStop, Duration::ZERO, Duration::ZERO);
        assert_eq!(unpaced.became_due_by(7), None);
    }

    #[test]
    fn an_order_of_an_unpaced_run_is_due_when_it_is_sent() {
        let mut pacer = Pacer::new(Pace::Unpaced, End::Orders(2), Duration::ZERO, Duration::ZERO);
        assert_eq!(pacer.next(7), Next::Send(Order { number: 0, due: 7 }));
        assert_eq!(pacer.next(9), Next::Send(Order { number: 1, due: 9 }));
        assert_eq!((pacer.next(10), pacer.length()), (Next::EndOfSchedule, None));
        pacer.return_unsent(Order { number: 1, due: 9 });
        assert_eq!(pacer.next(11), Next::Send(Order { number: 1, due: 11 }));
    }
}
