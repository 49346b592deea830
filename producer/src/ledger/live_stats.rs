//! The figures of a run while it lasts, for the progress display and `/readyz`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use shared::{ledger::Counts, telemetry::Readiness};
use tokio::sync::watch;

use crate::send::tally::Tally;

/// The producer is not ready when orders are in flight and none was acknowledged for this long.
const ACKNOWLEDGEMENT_TIMEOUT: Duration = Duration::from_secs(5);

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
    /// When an order was last acknowledged, or no order was in flight.
    last_progress: Option<Instant>,
}

impl LiveStats {
    pub fn in_flight(&self) -> u64 {
        self.enqueued.saturating_sub(self.acknowledged + self.unacknowledged)
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
        if self.in_flight() == 0 || !sequences.acknowledged.is_empty() {
            self.last_progress = Some(Instant::now());
        }
    }
}

/// The producer is ready while its orders are acknowledged.
pub fn readiness(stats: watch::Receiver<LiveStats>) -> Readiness {
    Arc::new(move || match stats.borrow().last_progress {
        None => Err("nothing has been sent yet".to_owned()),
        Some(at) if at.elapsed() > ACKNOWLEDGEMENT_TIMEOUT => {
            Err(format!("Kafka: orders are in flight, but none was acknowledged for {} s", at.elapsed().as_secs()))
        }
        Some(_) => Ok(()),
    })
}
