//! Counts, sequences and latencies of orders, per phase of the run, and those of their changes.

use std::collections::BTreeMap;

use rdkafka::error::KafkaError;
use shared::{
    latency::Latencies,
    ledger::JournalContents,
    lifecycle::{ChangeNumber, OrderStatus},
};

use super::change_tally::ChangeTally;
use crate::pace::Phase;

/// Number of orders of a phase, by outcome.
#[derive(Clone, Copy, Debug, Default)]
pub struct PhaseCounts {
    /// Enqueued in librdkafka, or behind it while their partition waits.
    pub enqueued: u64,
    /// Number of the enqueued orders that are invalid on purpose.
    pub invalid: u64,
    pub acknowledged: u64,
    /// Certainly not in the log.
    pub failed: u64,
    /// Number of times that the client's queue was full.
    pub queue_full: u64,
}

impl PhaseCounts {
    fn add(&mut self, later: Self) {
        self.enqueued += later.enqueued;
        self.invalid += later.invalid;
        self.acknowledged += later.acknowledged;
        self.failed += later.failed;
        self.queue_full += later.queue_full;
    }
}

/// The outcomes of orders in an interval. All times are nanoseconds after the start of the run; latencies are of the
/// measured phase only.
#[derive(Clone, Default)]
pub struct Tally {
    pub warm_up: PhaseCounts,
    pub measured: PhaseCounts,
    /// Sequences of both phases, by outcome.
    pub sequences: JournalContents,
    /// Orders with a delivery error that may be in the log nevertheless.
    pub unknown: u64,
    /// Number of delivery errors of orders and changes, by librdkafka's name of the error.
    pub errors: BTreeMap<String, u64>,
    /// Enqueued − due.
    pub lateness: Latencies,
    /// Acknowledged − due.
    pub acknowledgement: Latencies,
    /// Acknowledged − enqueued.
    pub round_trip: Latencies,
    /// Lateness of the last order, in nanoseconds.
    pub last_lateness: i64,
    /// When the last order of the measured phase was acknowledged.
    pub last_acknowledged: Option<i64>,
    /// `None` for a run without lifecycles.
    pub changes: Option<ChangeTally>,
}

impl Tally {
    /// The outcomes of changes.
    pub fn changes(&mut self) -> &mut ChangeTally {
        self.changes.get_or_insert_default()
    }

    fn counts(&mut self, phase: Phase) -> &mut PhaseCounts {
        match phase {
            Phase::WarmUp => &mut self.warm_up,
            Phase::Measured => &mut self.measured,
        }
    }

    /// An order was enqueued `lateness` nanoseconds after its due time.
    pub fn enqueued(&mut self, lateness: i64, phase: Phase) {
        self.counts(phase).enqueued += 1;
        self.last_lateness = lateness;
        if phase == Phase::Measured {
            self.lateness.record_nanos(lateness);
        }
    }

    /// The client's queue was full.
    pub fn queue_full(&mut self, phase: Phase) {
        self.counts(phase).queue_full += 1;
    }

    /// Order `n`, which was just enqueued, is invalid on purpose.
    pub fn invalid(&mut self, n: u64, phase: Phase) {
        self.counts(phase).invalid += 1;
        self.sequences.invalid.insert(n);
    }

    /// Order `n` was acknowledged `now`.
    pub fn acknowledged(&mut self, n: u64, due: i64, enqueued: i64, now: i64, phase: Phase) {
        self.counts(phase).acknowledged += 1;
        self.sequences.acknowledged.insert(n);
        if phase == Phase::Measured {
            self.last_acknowledged = Some(now);
            self.acknowledgement.record_nanos(now - due);
            self.round_trip.record_nanos(now - enqueued);
        }
    }

    /// The delivery report of an order has this error, but the order may be in the log.
    pub fn unknown(&mut self, error: &str) {
        self.unknown += 1;
        self.count_error(error);
    }

    /// Order `n` is certainly not in the log.
    pub fn failed(&mut self, n: u64, error: &KafkaError, phase: Phase) {
        self.counts(phase).failed += 1;
        self.sequences.failed.insert(n);
        self.count_error(&error_name(error));
    }

    /// A change was acknowledged.
    pub fn change_acknowledged(&mut self, number: ChangeNumber, status: OrderStatus, latency: i64, phase: Phase) {
        self.sequences.changes_acknowledged.insert(number.get());
        self.changes().acknowledged(status, latency, phase);
    }

    /// The delivery report of a change has this error, but the change may be in the log.
    pub fn change_unknown(&mut self, error: &str) {
        self.changes().unknown += 1;
        self.count_error(error);
    }

    /// A change is certainly not in the log.
    pub fn change_failed(&mut self, number: ChangeNumber, error: &KafkaError) {
        self.sequences.changes_failed.insert(number.get());
        self.changes().failed += 1;
        self.count_error(&error_name(error));
    }

    fn count_error(&mut self, error: &str) {
        *self.errors.entry(error.to_owned()).or_default() += 1;
    }

    /// Adds the tally of a later interval.
    pub fn add(&mut self, later: Self) {
        if later.warm_up.enqueued + later.measured.enqueued > 0 {
            self.last_lateness = later.last_lateness;
        }
        self.warm_up.add(later.warm_up);
        self.measured.add(later.measured);
        self.sequences.add(later.sequences);
        self.unknown += later.unknown;
        for (name, count) in later.errors {
            *self.errors.entry(name).or_default() += count;
        }
        self.lateness.add(&later.lateness);
        self.acknowledgement.add(&later.acknowledgement);
        self.round_trip.add(&later.round_trip);
        self.last_acknowledged = later.last_acknowledged.or(self.last_acknowledged);
        if let Some(later) = later.changes {
            self.changes().add(later);
        }
    }
}

/// librdkafka's name of an error.
pub fn error_name(error: &KafkaError) -> String {
    error.rdkafka_error_code().map_or_else(|| error.to_string(), |code| format!("{code:?}"))
}
