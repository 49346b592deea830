//! Keeps the run's ledger: each second, what was acknowledged since the last one goes to the disk.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use rdkafka::error::KafkaError;
use shared::{
    latency::{Latencies, LatencyLog},
    ledger::{Journal, JournalContents},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{deliver::Delivery, metrics, sample::RefreshedAt};

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
    /// Of those, made invalid on purpose.
    pub invalid: u64,
    /// Acknowledged.
    pub acknowledged: u64,
    /// Surely not in the log.
    pub failed: u64,
    /// Times that the client's queue was full.
    pub queue_full: u64,
}

impl Fates {
    fn add(&mut self, later: Self) {
        self.enqueued += later.enqueued;
        self.invalid += later.invalid;
        self.acknowledged += later.acknowledged;
        self.failed += later.failed;
        self.queue_full += later.queue_full;
    }
}

/// What happened to orders in some time.
#[derive(Clone, Default)]
pub struct Tally {
    /// Orders of the warm-up.
    pub warm_up: Fates,
    /// Orders of the run proper.
    pub measured: Fates,
    /// Which ones.
    pub sequences: JournalContents,
    /// Came back with an error, and may be in the log all the same.
    pub returned_unknown: u64,
    /// Orders that were not acknowledged, by the client library's name for the error.
    pub errors: BTreeMap<String, u64>,
    /// Enqueued − due, of the run proper.
    pub lateness: Latencies,
    /// Acknowledged − due, of the run proper.
    pub acknowledgement: Latencies,
    /// Acknowledged − enqueued, of the run proper.
    pub round_trip: Latencies,
    /// How late the last order was, in nanoseconds.
    pub last_late: i64,
    /// When the last order of the run proper that was acknowledged was, in nanoseconds after the start.
    pub last_acknowledged: Option<i64>,
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

    /// The client's queue took no more.
    pub fn queue_full(&mut self, part: Part) {
        self.fates(part).queue_full += 1;
    }

    /// Order `n`, just handed over, was made invalid on purpose.
    pub fn invalid(&mut self, n: u64, part: Part) {
        self.fates(part).invalid += 1;
        self.sequences.invalid.insert(n);
    }

    /// Order `n`, which was due and handed over at these times, was acknowledged `now`; all in nanoseconds after the start.
    pub fn acknowledged(&mut self, n: u64, due: i64, enqueued: i64, now: i64, part: Part) {
        self.fates(part).acknowledged += 1;
        self.sequences.acknowledged.insert(n);
        if part == Part::Measured {
            self.last_acknowledged = Some(now);
            self.acknowledgement.record_nanos(now - due);
            self.round_trip.record_nanos(now - enqueued);
        }
    }

    /// An order came back with an error, and may be in the log all the same.
    pub fn unknown(&mut self, error: &KafkaError) {
        self.returned_unknown += 1;
        self.count_error(error);
    }

    /// Order `n` is surely not in the log.
    pub fn failed(&mut self, n: u64, error: &KafkaError, part: Part) {
        self.fates(part).failed += 1;
        self.sequences.failed.insert(n);
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
        self.sequences.add(later.sequences);
        self.returned_unknown += later.returned_unknown;
        for (name, count) in later.errors {
            *self.errors.entry(name).or_default() += count;
        }
        self.lateness.add(&later.lateness);
        self.acknowledgement.add(&later.acknowledgement);
        self.round_trip.add(&later.round_trip);
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
    /// Times that the client's queue was full.
    pub queue_full: u64,
    /// Handed over in the last second.
    pub rate: u64,
    /// Milliseconds of lateness in the last second: median and 99 %.
    pub lateness_ms: (f64, f64),
    /// Milliseconds from due to acknowledged in the last second: median and 99 %.
    pub acknowledgement_ms: (f64, f64),
    /// When an order was last acknowledged, or none was on its way.
    pub well_at: Option<Instant>,
}

impl SoFar {
    /// Handed over, and not yet told again.
    pub fn in_flight(&self) -> u64 {
        self.enqueued.saturating_sub(self.acknowledged + self.lost)
    }

    fn add(&mut self, tally: &Tally) {
        let sequences = &tally.sequences;
        let (lateness, latency) = (tally.lateness.summary(), tally.acknowledgement.summary());
        self.rate = tally.warm_up.enqueued + tally.measured.enqueued;
        self.enqueued += self.rate;
        self.acknowledged += sequences.acknowledged.len();
        self.lost += sequences.failed.len() + tally.returned_unknown;
        self.queue_full += tally.warm_up.queue_full + tally.measured.queue_full;
        self.lateness_ms = (lateness.p50, lateness.p99);
        self.acknowledgement_ms = (latency.p50, latency.p99);
        if self.in_flight() == 0 || !sequences.acknowledged.is_empty() {
            self.well_at = Some(Instant::now());
        }
    }
}

/// Writes the ledger of a run.
pub struct Recorder {
    /// What to record.
    pub delivery: Arc<Delivery>,
    /// What became of which order.
    pub journal: Journal,
    /// How long it took.
    pub latency_log: LatencyLog,
    /// Who wants to know.
    pub so_far: watch::Sender<SoFar>,
    /// When the cache was last refreshed.
    pub refreshed_at: RefreshedAt,
}

/// What was recorded of a run.
pub struct Recorded {
    /// The whole run's.
    pub tally: Tally,
    /// What the disk did not take to the last.
    pub unkept: Option<Unkept>,
}

/// What the journal lacks.
pub struct Unkept {
    /// Why.
    pub error: anyhow::Error,
    /// What became of which order.
    pub sequences: JournalContents,
}

impl Recorder {
    /// Records each second until `sent`, then once more. A disk that takes no more does not end the run: what could not be
    /// written is tried again each second, and given back if it never is.
    pub async fn run(mut self, sent: CancellationToken) -> Recorded {
        let mut whole = Tally::default();
        let mut unkept: Option<Unkept> = None;
        let mut last = false;
        while !last {
            last = tokio::time::timeout(INTERVAL, sent.cancelled()).await.is_ok();
            let tally = self.delivery.take();
            unkept = self.keep(unkept, &tally);
            self.show(&tally);
            whole.add(tally);
        }
        Recorded { tally: whole, unkept }
    }

    fn keep(&mut self, unkept: Option<Unkept>, tally: &Tally) -> Option<Unkept> {
        self.log(tally);
        let failing = unkept.is_some();
        let mut news = tally.sequences.clone();
        if let Some(unkept) = unkept {
            news.add(unkept.sequences);
        }
        match self.journal.append(&news).map_err(|error| Unkept { error: error.into(), sequences: news }) {
            Ok(()) => {
                if failing {
                    tracing::info!("the run's ledger is whole again");
                }
                None
            }
            Err(unkept) => {
                if !failing {
                    tracing::warn!(
                        "the run goes on, but {:#}: free some space there, or it is printed at the end",
                        unkept.error
                    );
                }
                Some(unkept)
            }
        }
    }

    fn log(&mut self, tally: &Tally) {
        for (stage, latencies) in [
            ("due_to_enqueued", &tally.lateness),
            ("due_to_acknowledged", &tally.acknowledgement),
            ("enqueued_to_acknowledged", &tally.round_trip),
        ] {
            if let Err(error) = self.latency_log.append(stage, INTERVAL, latencies) {
                tracing::warn!(
                    "an interval is missing from the latency log {}: {error}",
                    self.latency_log.path().display()
                );
                return;
            }
        }
    }

    fn show(&self, tally: &Tally) {
        self.so_far.send_modify(|so_far| so_far.add(tally));
        let so_far = *self.so_far.borrow();
        let (acknowledged, failed) = (tally.sequences.acknowledged.len(), tally.sequences.failed.len());
        ::metrics::counter!(metrics::ENQUEUED).increment(so_far.rate);
        ::metrics::counter!(metrics::INVALID).increment(tally.sequences.invalid.len());
        ::metrics::counter!(metrics::ACKNOWLEDGED).increment(acknowledged);
        ::metrics::counter!(metrics::UNACKNOWLEDGED, "fate" => "failed").increment(failed);
        ::metrics::counter!(metrics::UNACKNOWLEDGED, "fate" => "unknown").increment(tally.returned_unknown);
        ::metrics::counter!(metrics::QUEUE_FULL).increment(tally.warm_up.queue_full + tally.measured.queue_full);
        ::metrics::gauge!(metrics::IN_FLIGHT).set(so_far.in_flight() as f64);
        if let Some(age) = age(*self.refreshed_at.borrow()) {
            ::metrics::gauge!(metrics::CACHE_AGE).set(age.as_secs_f64());
        }
    }
}

/// How long ago the cache was refreshed.
pub fn age(refreshed_at: Option<DateTime<Utc>>) -> Option<Duration> {
    (Utc::now() - refreshed_at?).to_std().ok()
}
