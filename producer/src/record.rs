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
    deliver::{Delivery, is_surely_not_persisted},
    metrics,
};

/// A killed producer loses at most this much of its knowledge.
pub const INTERVAL: Duration = Duration::from_secs(1);

/// Where an order's figures belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Sent before the run proper: audited, but left out of the figures.
    WarmUp,
    /// The run proper.
    Measured,
}

/// How many orders of a part of the run were sent, and what became of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fates {
    /// Handed to the client library.
    pub enqueued: u64,
    /// Acknowledged.
    pub acknowledged: u64,
    /// Surely not in the log.
    pub failed: u64,
}

impl Fates {
    fn add(&mut self, later: Self) {
        self.enqueued += later.enqueued;
        self.acknowledged += later.acknowledged;
        self.failed += later.failed;
    }
}

/// What happened to orders in some time.
#[derive(Clone, Default)]
pub struct Tally {
    /// Orders of the warm-up.
    pub warm_up: Fates,
    /// Orders of the run proper.
    pub measured: Fates,
    /// Acknowledged, by sequence.
    pub acknowledged: RoaringTreemap,
    /// Surely not in the log, by sequence.
    pub failed: RoaringTreemap,
    /// Came back with an error, and may be in the log all the same.
    pub returned_unknown: u64,
    /// Orders that were not acknowledged, by the client library's name for the error.
    pub errors: BTreeMap<String, u64>,
    /// Times that the client's queue was full.
    pub queue_full: u64,
    /// Enqueued − due, of the run proper.
    pub lateness: Latencies,
    /// Acknowledged − due, of the run proper.
    pub acknowledgement: Latencies,
    /// How late the last order was, in nanoseconds.
    pub last_late: i64,
    /// When the last acknowledgement came.
    pub last_acknowledged: Option<Instant>,
}

impl Tally {
    fn fates(&mut self, part: Part) -> &mut Fates {
        match part {
            Part::WarmUp => &mut self.warm_up,
            Part::Measured => &mut self.measured,
        }
    }

    /// An order was handed over `late` nanoseconds after it was due.
    pub fn enqueued(&mut self, late: i64, part: Part) {
        self.fates(part).enqueued += 1;
        self.last_late = late;
        if part == Part::Measured {
            self.lateness.record_nanos(late);
        }
    }

    /// Order `n` was acknowledged `nanos` after it was due.
    pub fn acknowledged(&mut self, n: u64, nanos: i64, part: Part) {
        self.fates(part).acknowledged += 1;
        self.acknowledged.insert(n);
        self.last_acknowledged = Some(Instant::now());
        if part == Part::Measured {
            self.acknowledgement.record_nanos(nanos);
        }
    }

    /// Order `n` came back with an error.
    pub fn not_acknowledged(&mut self, n: u64, error: &KafkaError, part: Part) {
        if is_surely_not_persisted(error) {
            self.refused(n, error, part);
        } else {
            self.returned_unknown += 1;
            self.count_error(error);
        }
    }

    /// Order `n` is surely not in the log.
    pub fn refused(&mut self, n: u64, error: &KafkaError, part: Part) {
        self.fates(part).failed += 1;
        self.failed.insert(n);
        self.count_error(error);
    }

    fn count_error(&mut self, error: &KafkaError) {
        let name = error.rdkafka_error_code().map_or_else(|| error.to_string(), |code| format!("{code:?}"));
        *self.errors.entry(name).or_default() += 1;
    }

    /// Adds what happened in `later`.
    pub fn add(&mut self, later: Self) {
        if later.warm_up.enqueued + later.measured.enqueued > 0 {
            self.last_late = later.last_late;
        }
        self.warm_up.add(later.warm_up);
        self.measured.add(later.measured);
        self.acknowledged |= later.acknowledged;
        self.failed |= later.failed;
        self.returned_unknown += later.returned_unknown;
        for (name, count) in later.errors {
            *self.errors.entry(name).or_default() += count;
        }
        self.queue_full += later.queue_full;
        self.lateness.add(&later.lateness);
        self.acknowledgement.add(&later.acknowledgement);
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
    /// Handed over in the last second.
    pub rate: u64,
    /// Milliseconds of lateness in the last second: median and 99 %.
    pub lateness_ms: (f64, f64),
    /// Milliseconds from due to acknowledged in the last second: median and 99 %.
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
        let enqueued = tally.warm_up.enqueued + tally.measured.enqueued;
        let (acknowledged, failed) = (tally.acknowledged.len(), tally.failed.len());
        ::metrics::counter!(metrics::ENQUEUED).increment(enqueued);
        ::metrics::counter!(metrics::ACKNOWLEDGED).increment(acknowledged);
        ::metrics::counter!(metrics::UNACKNOWLEDGED, "fate" => "failed").increment(failed);
        ::metrics::counter!(metrics::UNACKNOWLEDGED, "fate" => "unknown").increment(tally.returned_unknown);
        ::metrics::counter!(metrics::QUEUE_FULL).increment(tally.queue_full);
        let (lateness, latency) = (tally.lateness.summary(), tally.acknowledgement.summary());
        self.so_far.send_modify(|so_far| {
            so_far.enqueued += enqueued;
            so_far.acknowledged += acknowledged;
            so_far.lost += failed + tally.returned_unknown;
            so_far.rate = enqueued;
            so_far.lateness_ms = (lateness.p50, lateness.p99);
            so_far.acknowledgement_ms = (latency.p50, latency.p99);
        });
    }
}
