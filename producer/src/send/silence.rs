//! How long the brokers have acknowledged nothing, although a record waits for that.

use std::time::Duration;

/// Begins with the last acknowledgement, or with the first record that is in flight or due if that is later. A delivery
/// report with an error does not end it: with brokers that are unreachable, the client reports one after the other.
/// All times are in nanoseconds after the start of the run.
#[derive(Debug, Default)]
pub struct Silence {
    since: i64,
}

impl Silence {
    /// A record was acknowledged, or was enqueued while none was in flight, or the schedule ended.
    pub fn begin(&mut self, now: i64) {
        self.since = self.since.max(now);
    }

    /// Its length `now`. `next_due` is the due time of the first pending change.
    pub fn length(&mut self, now: i64, any_in_flight: bool, next_due: Option<u64>) -> Duration {
        if !any_in_flight {
            self.begin(next_due.and_then(|due| i64::try_from(due).ok()).unwrap_or(now).min(now));
        }
        Duration::from_nanos(u64::try_from(now - self.since).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_is_due_after_a_long_pause_is_waited_for_from_its_due_time() {
        let mut silence = Silence::default();
        silence.begin(10);
        assert_eq!(silence.length(500, false, Some(1_000)), Duration::ZERO);
        // It became due between two readings of the clock.
        assert_eq!(silence.length(1_003, false, Some(1_000)), Duration::from_nanos(3));
        silence.begin(1_005);
        assert_eq!(silence.length(1_009, true, None), Duration::from_nanos(4));
    }

    #[test]
    fn it_ends_with_an_acknowledgement_also_if_the_next_change_is_overdue() {
        let mut silence = Silence::default();
        silence.begin(10);
        assert_eq!(silence.length(40_000, true, Some(100_000)), Duration::from_nanos(39_990));
        silence.begin(40_000);
        assert_eq!(silence.length(40_001, false, Some(200)), Duration::from_nanos(1));
    }

    #[test]
    fn changes_that_become_due_while_a_record_is_in_flight_do_not_end_it() {
        let mut silence = Silence::default();
        silence.begin(10);
        for due in [20, 30, 1_000] {
            assert_eq!(silence.length(due, true, Some(due as u64)), Duration::from_nanos(due as u64 - 10));
        }
    }
}
