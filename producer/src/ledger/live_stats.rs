//! The figures of a run while it lasts, for the progress display and the health.

use std::time::{Duration, Instant};

use shared::ledger::Counts;

use super::live_changes::LiveChanges;
use crate::send::tally::Tally;

/// The figures of a running run. Both phases are counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct LiveStats {
    pub enqueued: u64,
    pub acknowledged: u64,
    /// Failed or unknown.
    pub unacknowledged: u64,
    /// Number of times that the client's queue was full.
    pub queue_full: u64,
    /// Orders enqueued per second in the last interval.
    pub rate: u64,
    /// Lateness in the last interval, p50 and p99 in milliseconds.
    pub lateness_ms: (f64, f64),
    /// Due to acknowledged in the last interval, p50 and p99 in milliseconds.
    pub acknowledgement_ms: (f64, f64),
    /// `None` for a run without lifecycles.
    pub changes: Option<LiveChanges>,
    /// When a record was last acknowledged, or none was in flight; at first, when an order was enqueued. `None`
    /// before that.
    last_progress: Option<Instant>,
}

impl LiveStats {
    pub fn in_flight(&self) -> u64 {
        self.enqueued.saturating_sub(self.acknowledged + self.unacknowledged)
    }

    fn any_in_flight(&self) -> bool {
        self.in_flight() > 0 || self.changes.is_some_and(|changes| changes.in_flight() > 0)
    }

    /// How long records have been in flight without an acknowledgement; `None` before this producer has enqueued its
    /// first order.
    pub fn unacknowledged_for(&self) -> Option<Duration> {
        self.last_progress.map(|at| at.elapsed())
    }

    /// Adds the orders of a killed producer, whose run is resumed.
    pub fn add_earlier(&mut self, earlier: Counts) {
        self.enqueued += earlier.enqueued;
        self.acknowledged += earlier.acknowledged;
        self.unacknowledged += earlier.failed + earlier.unknown;
    }

    /// Adds the tally of an interval of this length.
    pub fn add(&mut self, tally: &Tally, length: Duration) {
        let sequences = &tally.sequences;
        let (lateness, acknowledgement) = (tally.lateness.summary(), tally.acknowledgement.summary());
        let enqueued = tally.warm_up.enqueued + tally.measured.enqueued;
        self.rate = (enqueued as f64 / length.as_secs_f64()).round() as u64;
        self.enqueued += enqueued;
        self.acknowledged += sequences.acknowledged.len();
        self.unacknowledged += sequences.failed.len() + tally.unknown;
        self.queue_full += tally.warm_up.queue_full + tally.measured.queue_full;
        self.lateness_ms = (lateness.p50, lateness.p99);
        self.acknowledgement_ms = (acknowledgement.p50, acknowledgement.p99);
        if let Some(changes) = &tally.changes {
            self.changes.get_or_insert_default().add(changes, sequences);
        }
        let acknowledged = sequences.acknowledged.len() + sequences.changes_acknowledged.len();
        let has_progressed = match self.last_progress {
            None => enqueued > 0,
            Some(_) => !self.any_in_flight() || acknowledged > 0,
        };
        if has_progressed {
            self.last_progress = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pace::Phase;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_time_without_an_acknowledgement_begins_with_the_first_order() {
        let mut stats = LiveStats::default();
        stats.add_earlier(Counts { scheduled: 5, enqueued: 5, acknowledged: 4, unknown: 1, ..Counts::default() });
        stats.add(&Tally::default(), SECOND);
        assert_eq!(stats.unacknowledged_for(), None, "nothing is enqueued, but by the producer that was killed");

        let mut first = Tally::default();
        first.enqueued(0, Phase::Measured);
        stats.add(&first, SECOND);
        let enqueued_at = stats.last_progress.unwrap();
        stats.add(&Tally::default(), SECOND);
        assert_eq!((stats.in_flight(), stats.last_progress), (1, Some(enqueued_at)), "it is not acknowledged");

        let mut acknowledged = Tally::default();
        acknowledged.acknowledged(0, 0, 0, 1, Phase::Measured);
        stats.add(&acknowledged, SECOND);
        let acknowledged_at = stats.last_progress.unwrap();
        stats.add(&Tally::default(), SECOND);
        assert!(acknowledged_at > enqueued_at && stats.last_progress.unwrap() > acknowledged_at, "none is in flight");
    }
}
