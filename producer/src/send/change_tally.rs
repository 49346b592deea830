//! Counts and latencies of the changes of orders.

use std::collections::BTreeMap;

use shared::{latency::Latencies, lifecycle::OrderStatus};

use crate::pace::Phase;

/// Whether orders still become due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Schedule {
    #[default]
    Running,
    /// The last order was sent: only changes follow.
    Over,
}

/// The outcomes of changes in an interval. The numbers of acknowledged and failed changes are in the
/// tally. Latencies are those of orders of the measured phase.
#[derive(Clone, Default)]
pub struct ChangeTally {
    /// Enqueued in librdkafka, or behind it while their partition waits.
    pub enqueued: u64,
    /// Never sent: there were too many pending changes, or the run ended without them.
    pub skipped: u64,
    /// Certainly not in the log.
    pub failed: u64,
    /// Changes with a delivery error that may be in the log nevertheless.
    pub unknown: u64,
    /// Acknowledged changes.
    pub by_status: BTreeMap<OrderStatus, u64>,
    /// Enqueued − due.
    pub lateness: Latencies,
    /// Acknowledged − due.
    pub acknowledgement: Latencies,
    /// Changes that are not sent yet, at the end of the interval.
    pub pending: u64,
    /// At the end of the interval.
    pub schedule: Schedule,
}

impl ChangeTally {
    /// A change was enqueued `lateness` nanoseconds after its due time; `phase` is that of its order.
    pub fn enqueued(&mut self, lateness: i64, phase: Phase) {
        self.enqueued += 1;
        if phase == Phase::Measured {
            self.lateness.record_nanos(lateness);
        }
    }

    /// A change was acknowledged `latency` nanoseconds after its due time; `phase` is that of its order.
    pub fn acknowledged(&mut self, status: OrderStatus, latency: i64, phase: Phase) {
        *self.by_status.entry(status).or_default() += 1;
        if phase == Phase::Measured {
            self.acknowledgement.record_nanos(latency);
        }
    }

    /// Adds the tally of a later interval.
    pub fn add(&mut self, later: Self) {
        self.enqueued += later.enqueued;
        self.skipped += later.skipped;
        self.failed += later.failed;
        self.unknown += later.unknown;
        for (status, count) in later.by_status {
            *self.by_status.entry(status).or_default() += count;
        }
        self.lateness.add(&later.lateness);
        self.acknowledgement.add(&later.acknowledgement);
        (self.pending, self.schedule) = (later.pending, later.schedule);
    }
}
