//! Keeps the run's ledger: each second, what was acknowledged since the last one goes to the disk.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use rdkafka::error::KafkaError;
use roaring::RoaringTreemap;
use shared::{
    latency::{Latencies, LatencyLog},
    ledger::Journal,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    metrics,
    publish::{Delivery, is_surely_not_persisted},
};

/// A killed producer loses at most this much of its knowledge.
pub const INTERVAL: Duration = Duration::from_secs(1);

/// What happened to orders in some time.
#[derive(Clone, Default)]
pub struct Tally {
    /// Handed to the client library.
    pub enqueued: u64,
    /// Acknowledged, by sequence.
    pub acknowledged: RoaringTreemap,
    /// Surely not in the log, by sequence.
    pub failed: RoaringTreemap,
    /// Not acknowledged, for all we know.
    pub unknown: u64,
    /// Orders that were not acknowledged, by the client library's name for the error.
    pub errors: BTreeMap<String, u64>,
    /// Times that the client's queue was full.
    pub queue_full: u64,
    /// Enqueued − due.
    pub lateness: Latencies,
    /// Acknowledged − due.
    pub acknowledgement: Latencies,
    /// When the last order was enqueued and when the last acknowledgement came.
    pub last_enqueued: Option<Instant>,
    /// See `last_enqueued`.
    pub last_acknowledged: Option<Instant>,
}

impl Tally {
    /// An order was handed over `nanos` after it was due.
    pub fn enqueued(&mut self, nanos: i64) {
        self.enqueued += 1;
        self.lateness.record_nanos(nanos);
        self.last_enqueued = Some(Instant::now());
    }

    /// Order `n` was acknowledged `nanos` after it was due.
    pub fn acknowledged(&mut self, n: u64, nanos: i64) {
        self.acknowledged.insert(n);
        self.acknowledgement.record_nanos(nanos);
        self.last_acknowledged = Some(Instant::now());
    }

    /// Order `n` came back with an error.
    pub fn not_acknowledged(&mut self, n: u64, error: &KafkaError) {
        if is_surely_not_persisted(error) {
            self.refused(n, error);
        } else {
            self.unknown += 1;
            self.count_error(error);
        }
    }

    /// The client library did not take order `n`.
    pub fn refused(&mut self, n: u64, error: &KafkaError) {
        self.failed.insert(n);
        self.count_error(error);
    }

    fn count_error(&mut self, error: &KafkaError) {
        let name = error.rdkafka_error_code().map_or_else(|| error.to_string(), |code| format!("{code:?}"));
        *self.errors.entry(name).or_default() += 1;
    }

    /// Adds what happened in `later`.
    pub fn add(&mut self, later: Self) {
        self.enqueued += later.enqueued;
        self.acknowledged |= later.acknowledged;
        self.failed |= later.failed;
        self.unknown += later.unknown;
        for (name, count) in later.errors {
            *self.errors.entry(name).or_default() += count;
        }
        self.queue_full += later.queue_full;
        self.lateness.add(&later.lateness);
        self.acknowledgement.add(&later.acknowledgement);
        self.last_enqueued = later.last_enqueued.or(self.last_enqueued);
        self.last_acknowledged = later.last_acknowledged.or(self.last_acknowledged);
    }
}

/// The figures of a run so far, for whoever shows it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SoFar {
    /// Handed to the client library.
    pub enqueued: u64,
    /// Acknowledged.
    pub acknowledged: u64,
    /// Failed or unknown.
    pub lost: u64,
    /// Milliseconds of acknowledgement latency in the last second: median and 99 %.
    pub acknowledgement_ms: (f64, f64),
}

/// Writes the ledger of a run.
pub struct Recorder {
    /// What to record.
    pub delivery: Arc<Delivery>,
    /// Which orders were acknowledged.
    pub journal: Journal,
    /// How long it took.
    pub latency_log: LatencyLog,
    /// Who wants to know.
    pub so_far: watch::Sender<SoFar>,
}

impl Recorder {
    /// Records each second until `sent`, then once more, and gives the whole run's tally.
    ///
    /// # Errors
    /// When the disk takes no more: a run that can't be proved is of no use, so `stop` is cancelled.
    pub async fn run(mut self, sent: CancellationToken, stop: &CancellationToken) -> anyhow::Result<Tally> {
        let mut whole = Tally::default();
        let mut last = false;
        while !last {
            last = tokio::time::timeout(INTERVAL, sent.cancelled()).await.is_ok();
            let tally = self.delivery.take();
            if let Err(error) = self.keep(&tally) {
                stop.cancel();
                return Err(error).context(
                    "the run was ended, since it can't be recorded: free some space or choose another --runs-dir",
                );
            }
            self.show(&tally);
            whole.add(tally);
        }
        Ok(whole)
    }

    fn keep(&mut self, tally: &Tally) -> anyhow::Result<()> {
        self.journal.append(&tally.acknowledged, &tally.failed)?;
        let log = |log: &mut LatencyLog, stage, latencies| {
            log.append(stage, INTERVAL, latencies)
                .with_context(|| format!("the latency log {} can't be written", log.path().display()))
        };
        log(&mut self.latency_log, "due_to_enqueued", &tally.lateness)?;
        log(&mut self.latency_log, "due_to_acknowledged", &tally.acknowledgement)
    }

    fn show(&self, tally: &Tally) {
        let (acknowledged, failed) = (tally.acknowledged.len(), tally.failed.len());
        ::metrics::counter!(metrics::ENQUEUED).increment(tally.enqueued);
        ::metrics::counter!(metrics::ACKNOWLEDGED).increment(acknowledged);
        ::metrics::counter!(metrics::UNACKNOWLEDGED, "fate" => "failed").increment(failed);
        ::metrics::counter!(metrics::UNACKNOWLEDGED, "fate" => "unknown").increment(tally.unknown);
        ::metrics::counter!(metrics::QUEUE_FULL).increment(tally.queue_full);
        let latency = tally.acknowledgement.summary();
        self.so_far.send_modify(|so_far| {
            so_far.enqueued += tally.enqueued;
            so_far.acknowledged += acknowledged;
            so_far.lost += failed + tally.unknown;
            so_far.acknowledgement_ms = (latency.p50, latency.p99);
        });
    }
}
