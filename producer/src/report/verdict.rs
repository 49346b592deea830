//! Decides whether a run is valid, and whether producer or brokers are the cause if it is not.

use std::time::Duration;

use shared::ledger::{ChangesSummary, Counts, Verdict};

use crate::pace::tolerance::exceeds_tolerance;

/// How well a paced run followed its schedule.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Length of the schedule without the warm-up.
    pub length: Duration,
    /// Lateness of the last order.
    pub lateness: Duration,
    /// Time from the end of the schedule to the last acknowledgement.
    pub tail: Duration,
    /// Whether the p99 lateness is above its limit.
    pub lateness_exceeded: bool,
    /// Whether the client's queue was ever full: the brokers took the orders too slowly.
    pub queue_full: bool,
}

impl Timing {
    /// Whether the last acknowledgement was too late.
    pub fn tail_exceeded(&self) -> bool {
        exceeds_tolerance(self.tail, self.length)
    }

    fn is_delayed(&self) -> bool {
        exceeds_tolerance(self.lateness, self.length) || self.tail_exceeded()
    }
}

/// The verdict on a run; `timing` is `None` for an unpaced one, `changes` for one without lifecycles. When changes are
/// sent is not judged: the schedule is that of the orders.
pub fn verdict(measured: Counts, warm_up: Counts, changes: Option<&ChangesSummary>, timing: Option<Timing>) -> Verdict {
    let lossy = [measured, warm_up].iter().any(|counts| counts.failed + counts.unknown > 0)
        || changes.is_some_and(|changes| changes.failed + changes.unknown > 0);
    // A run that was stopped before its first order has measured nothing.
    let incomplete =
        measured.skipped > 0 || measured.scheduled == 0 || changes.is_some_and(|changes| changes.skipped > 0);
    let missed = timing.filter(|timing| incomplete || timing.lateness_exceeded || timing.is_delayed());
    match missed {
        _ if lossy => Verdict::Lossy,
        Some(timing) if timing.queue_full || timing.tail_exceeded() => Verdict::BrokerLimited,
        None if !incomplete => Verdict::Valid,
        _ => Verdict::GeneratorLimited,
    }
}

#[cfg(test)]
mod tests {
    use shared::latency::LatencySummary;

    use super::*;

    fn counts(enqueued: u64, acknowledged: u64, skipped: u64) -> Counts {
        let (scheduled, unknown) = (enqueued + skipped, enqueued - acknowledged);
        Counts { scheduled, skipped, enqueued, acknowledged, unknown, ..Counts::default() }
    }

    fn timing(length_ms: u64, delay_ms: u64) -> Option<Timing> {
        let (length, delay) = (Duration::from_millis(length_ms), Duration::from_millis(delay_ms));
        Some(Timing { length, lateness: delay, tail: delay, lateness_exceeded: false, queue_full: false })
    }

    fn of(measured: Counts, timing: Option<Timing>) -> Verdict {
        verdict(measured, Counts::default(), None, timing)
    }

    #[test]
    fn the_verdict_names_the_problem_and_its_cause() {
        let complete = counts(100, 100, 0);
        assert_eq!(of(complete, timing(60_000, 590)), Verdict::Valid);
        let in_time = |timing: Option<Timing>| timing.map(|timing| Timing { tail: Duration::ZERO, ..timing });
        assert_eq!(of(complete, in_time(timing(60_000, 610))), Verdict::GeneratorLimited);
        let slow = timing(60_000, 0).map(|timing| Timing { tail: Duration::from_secs(12), ..timing });
        assert_eq!(of(complete, slow), Verdict::BrokerLimited, "enqueued in time, and acknowledged too slowly");
        assert_eq!(of(counts(0, 0, 0), timing(0, 0)), Verdict::GeneratorLimited, "nothing was measured");
        assert_eq!(of(counts(99, 99, 1), timing(60_000, 0)), Verdict::GeneratorLimited);
        let too_late = timing(60_000, 0).map(|timing| Timing { lateness_exceeded: true, ..timing });
        assert_eq!(of(complete, too_late), Verdict::GeneratorLimited);
        let full = too_late.map(|timing| Timing { queue_full: true, ..timing });
        assert_eq!(of(complete, full), Verdict::BrokerLimited);
        assert_eq!(of(counts(100, 99, 0), full), Verdict::Lossy);
        assert_eq!(verdict(complete, counts(5, 4, 0), None, timing(60_000, 0)), Verdict::Lossy);
        assert_eq!(of(complete, None), Verdict::Valid);
        assert_eq!(of(counts(0, 0, 0), None), Verdict::GeneratorLimited, "an unpaced run without an order");
    }

    #[test]
    fn a_change_that_is_lost_or_skipped_makes_the_run_invalid_and_a_late_one_does_not() {
        let of = |changes: ChangesSummary| {
            verdict(counts(100, 100, 0), Counts::default(), Some(&changes), timing(60_000, 0))
        };
        let late = LatencySummary { p99: 60_000.0, ..LatencySummary::default() };
        assert_eq!(of(ChangesSummary { scheduled: 9, lateness_ms: late, ..Default::default() }), Verdict::Valid);
        assert_eq!(of(ChangesSummary { failed: 1, ..Default::default() }), Verdict::Lossy);
        assert_eq!(of(ChangesSummary { unknown: 1, ..Default::default() }), Verdict::Lossy);
        assert_eq!(of(ChangesSummary { skipped: 1, ..Default::default() }), Verdict::GeneratorLimited);
    }

    #[test]
    fn a_short_delay_at_the_end_of_a_short_run_does_not_miss_the_rate() {
        assert_eq!(of(counts(10, 10, 0), timing(10, 200)), Verdict::Valid);
        assert_eq!(of(counts(10, 10, 0), timing(10, 260)), Verdict::BrokerLimited);
    }
}
