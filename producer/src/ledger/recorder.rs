//! Saves the outcome of each order in the run's ledger every second, and updates the metrics and the live statistics.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use shared::{
    latency::{Latencies, LatencyLog, until_interval_end},
    ledger::{Journal, JournalContents},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{live_changes::LiveChanges, live_stats::LiveStats};
use crate::{
    clock::RunClock,
    health::{ProducerHealth, ProducerIssue},
    metrics,
    pace::Pacer,
    sample::CacheAge,
    send::{change_tally::ChangeTally, delivery::DeliveryTracker, tally::Tally},
};

/// The producer is not ready when orders are in flight and none was acknowledged for this long.
const ACKNOWLEDGEMENT_TIMEOUT: Duration = Duration::from_secs(5);

/// Records a run.
pub struct Recorder {
    pub clock: RunClock,
    /// The schedule at its first order.
    pub schedule: Pacer,
    pub tracker: Arc<DeliveryTracker>,
    pub journal: Journal,
    pub latency_log: LatencyLog,
    pub live_stats: watch::Sender<LiveStats>,
    pub cache_age: CacheAge,
    pub health: Arc<ProducerHealth>,
}

/// The record of a whole run.
pub struct Recorded {
    /// Without the sequences.
    pub tally: Tally,
    /// `None` when the journal is complete.
    pub unsaved: Option<UnsavedEntries>,
}

/// The entries that could not be written to the journal.
pub struct UnsavedEntries {
    pub error: anyhow::Error,
    pub sequences: JournalContents,
}

impl Recorder {
    /// Records at every whole second until `sent` is cancelled, and then once more. The ledger of a killed producer
    /// lacks at most the outcomes of the last second. A full disk does not end the run: entries that can't be written
    /// are retried every second, and returned if that never succeeds.
    pub async fn run(mut self, sent: CancellationToken) -> Recorded {
        let mut total = Tally::default();
        let mut unsaved = None;
        let (mut last, mut since) = (false, Instant::now());
        while !last {
            last = tokio::time::timeout(until_interval_end(SystemTime::now()), sent.cancelled()).await.is_ok();
            let mut tally = self.tracker.take_tally();
            let length = std::mem::replace(&mut since, Instant::now()).elapsed();
            // First, since the ledger is synced to the disk: the metrics are those of the whole second.
            self.update_metrics(&tally, length);
            self.update_health();
            self.append_latencies(&tally, length);
            // The journal has them: those of a whole day would take a hundred megabytes.
            unsaved = self.save(unsaved, std::mem::take(&mut tally.sequences));
            total.add(tally);
        }
        Recorded { tally: total, unsaved }
    }

    fn update_health(&self) {
        let Some(unacknowledged) = self.live_stats.borrow().unacknowledged_for() else { return };
        self.health.resolve(ProducerIssue::NotStarted);
        if unacknowledged <= ACKNOWLEDGEMENT_TIMEOUT {
            self.health.resolve(ProducerIssue::NoAcknowledgement);
        } else {
            let seconds = unacknowledged.as_secs();
            let message = format!("Kafka: records are in flight, but none was acknowledged for {seconds} s");
            self.health.report(ProducerIssue::NoAcknowledgement, message);
        }
    }

    /// Appends the interval's entries and those that were unsaved before it. Returns the entries that could not be
    /// written.
    fn save(&mut self, unsaved: Option<UnsavedEntries>, interval: JournalContents) -> Option<UnsavedEntries> {
        let failed_before = unsaved.is_some();
        let mut sequences = interval;
        if let Some(unsaved) = unsaved {
            sequences.add(unsaved.sequences);
        }
        let Err(error) = self.journal.append(&sequences) else {
            if failed_before {
                tracing::info!("run ledger: written again, no entry is missing");
            }
            return None;
        };
        let error = anyhow::Error::from(error);
        if !failed_before {
            tracing::warn!(
                "{error:#}: free some disk space; the run continues, and entries still unsaved at its end are printed"
            );
        }
        Some(UnsavedEntries { error, sequences })
    }

    fn append_latencies(&mut self, tally: &Tally, length: Duration) {
        let of_orders = [
            ("due_to_enqueued", &tally.lateness),
            ("due_to_acknowledged", &tally.acknowledgement),
            ("enqueued_to_acknowledged", &tally.round_trip),
        ];
        let of_changes = tally.changes.as_ref().map(|changes| {
            let lateness = ("change_due_to_enqueued", &changes.lateness);
            [lateness, ("change_due_to_acknowledged", &changes.acknowledgement)]
        });
        for (series, latencies) in of_orders.into_iter().chain(of_changes.into_iter().flatten()) {
            if let Err(error) = self.latency_log.append(series, length, latencies) {
                let path = self.latency_log.path().display();
                tracing::warn!("latency log {path}: an interval is missing: {error}");
                return;
            }
        }
    }

    fn update_metrics(&mut self, tally: &Tally, length: Duration) {
        self.live_stats.send_modify(|stats| stats.add(tally, length));
        let stats = *self.live_stats.borrow();
        let (acknowledged, failed) = (tally.sequences.acknowledged.len(), tally.sequences.failed.len());
        ::metrics::counter!(metrics::ENQUEUED).increment(tally.warm_up.enqueued + tally.measured.enqueued);
        ::metrics::counter!(metrics::INVALID).increment(tally.sequences.invalid.len());
        ::metrics::counter!(metrics::ACKNOWLEDGED).increment(acknowledged);
        ::metrics::counter!(metrics::UNACKNOWLEDGED, "outcome" => "failed").increment(failed);
        ::metrics::counter!(metrics::UNACKNOWLEDGED, "outcome" => "unknown").increment(tally.unknown);
        ::metrics::counter!(metrics::QUEUE_FULL).increment(tally.warm_up.queue_full + tally.measured.queue_full);
        ::metrics::gauge!(metrics::IN_FLIGHT).set(stats.in_flight() as f64);
        if let (Some(changes), Some(live)) = (&tally.changes, stats.changes) {
            update_change_metrics(changes, &tally.sequences, &live);
        }
        if let Some(age) = self.cache_age.get() {
            ::metrics::gauge!(metrics::CACHE_AGE).set(age.as_secs_f64());
        }
        // Without a schedule, no order is due before it is sent.
        if let Some(due) = self.schedule.became_due_by(self.clock.since_start().as_nanos() as u64) {
            ::metrics::counter!(metrics::DUE).absolute(due);
            export(metrics::DUE_TO_ENQUEUED_SECONDS, &tally.lateness);
            export(metrics::DUE_TO_ACKNOWLEDGED_SECONDS, &tally.acknowledgement);
        }
    }
}

fn update_change_metrics(changes: &ChangeTally, sequences: &JournalContents, live: &LiveChanges) {
    ::metrics::gauge!(metrics::CHANGES_PENDING).set(changes.pending as f64);
    ::metrics::gauge!(metrics::CHANGES_IN_FLIGHT).set(live.in_flight() as f64);
    ::metrics::counter!(metrics::CHANGES_ENQUEUED).increment(changes.enqueued);
    for (status, acknowledged) in &changes.by_status {
        ::metrics::counter!(metrics::CHANGES_ACKNOWLEDGED, "status" => status.as_str()).increment(*acknowledged);
    }
    let failed = sequences.changes_failed.len();
    ::metrics::counter!(metrics::CHANGES_UNACKNOWLEDGED, "outcome" => "failed").increment(failed);
    ::metrics::counter!(metrics::CHANGES_UNACKNOWLEDGED, "outcome" => "unknown").increment(changes.unknown);
    ::metrics::counter!(metrics::CHANGES_SKIPPED).increment(changes.skipped);
    export(metrics::CHANGE_DUE_TO_ENQUEUED_SECONDS, &changes.lateness);
    export(metrics::CHANGE_DUE_TO_ACKNOWLEDGED_SECONDS, &changes.acknowledgement);
}

fn export(metric: &'static str, latencies: &Latencies) {
    let histogram = ::metrics::histogram!(metric);
    for (seconds, orders) in latencies.recorded() {
        histogram.record_many(seconds, orders as usize);
    }
}
