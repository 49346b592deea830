//! What an audit says about the changes of a run.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::{latency::LatencySummary, report::Report};

pub use super::stored_changes::WrongHistory;
use super::{causes::list_causes, latency::StageSummary, stored_latency::add_change_latency};

/// The changes of the statuses of a run's orders. Numbers are counts of changes, except where documented otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChangesReport {
    /// Acknowledged by the brokers.
    pub acknowledged: u64,
    /// Reported by librdkafka as not persisted.
    pub failed: u64,
    pub in_topic: u64,
    /// Records in the topic beyond the first of their change.
    pub topic_repeats: u64,
    /// With records of different content in the topic.
    pub conflicting: u64,
    /// Records in the topic with the header of a change that are no change which a producer sends.
    pub unreadable: u64,
    /// In the table of the histories.
    pub stored: u64,
    /// Rows that differ from their record in the topic, or, those with number 0, from their order. Every row is
    /// compared.
    pub altered: u64,
    /// Rows whose record is not in the topic, so that they could not be compared.
    pub unchecked: u64,
    /// Of `unchecked`, those neither acknowledged nor expired: no producer sent them.
    pub without_record: u64,
    /// Orders whose history lacks a number before its last one.
    pub holes: u64,
    /// Orders whose row has another status or number than the last one of the history.
    pub misplaced: u64,
    /// Orders whose history has a transition that is none.
    pub illegal: u64,
    /// At most ten of the orders with a wrong history.
    pub wrong_sample: Vec<WrongHistory>,
    /// In the dead-letter topic.
    pub dead_lettered: u64,
    /// Of `dead_lettered`, those that are in the table: replayed later.
    pub replayed: u64,
    /// Of `dead_lettered`, those that are not replayed.
    pub unexpected_dead_letters: u64,
    /// `unexpected_dead_letters` by the kind of the reason. A change may have several.
    pub dead_letter_causes: BTreeMap<String, u64>,
    /// Acknowledged, but no longer in the topic, and neither is its order nor an earlier change of it: removed by
    /// retention or by `kafka-delete-records`.
    pub expired: u64,
    /// Of `expired`, those neither stored nor dead-lettered.
    pub expired_unstored: u64,
    /// Acknowledged, but not in the topic, and not expired: lost by the brokers.
    pub missing_from_topic: u64,
    /// Acknowledged or in the topic, but neither stored nor dead-lettered nor expired: lost by the consumers, or not
    /// read yet.
    pub missing: u64,
    /// In the topic or stored, but not acknowledged.
    pub unexpected: u64,
    /// Of `unexpected`, those that the producer reported as failed or never sent.
    pub unexplained: u64,
    /// From due to stored, in milliseconds. `None` if the consumers' latency logs were not read.
    pub latency_ms: Option<LatencySummary>,
    /// The share of the stored changes that `latency_ms` is of, 0 to 1; more than 1 when changes were stored again
    /// after a crash. `None` without latencies or stored changes.
    pub latency_coverage: Option<f64>,
    /// The stages of `latency_ms`, in order.
    pub stages_ms: Vec<StageSummary>,
}

impl ChangesReport {
    /// Whether no change is missing, each is stored as it was sent, none is there that was not sent, and each order has
    /// the status that its history ends with.
    pub fn is_balanced(&self) -> bool {
        self.imbalances().into_iter().all(|(_, number, _)| number == 0)
    }

    /// What must not be: name, number, meaning.
    pub fn imbalances(&self) -> [(&'static str, u64, &'static str); 11] {
        [
            ("missing from topic", self.missing_from_topic, "acknowledged, but not in the topic"),
            ("missing", self.missing, "neither stored nor dead-lettered"),
            ("expired, not stored", self.expired_unstored, "removed from the topic before they were stored"),
            ("altered", self.altered, "rows that differ from their record or order"),
            ("conflicting", self.conflicting, "records of one change with different contents"),
            ("unreadable", self.unreadable, "records that are no change, though their header says so"),
            ("without record", self.without_record, "stored, but neither acknowledged nor in the topic"),
            ("holes", self.holes, "orders whose history lacks a number"),
            ("out of place", self.misplaced, "orders without the last status of their history"),
            ("illegal", self.illegal, "orders with a transition that is none"),
            ("unexplained", self.unexplained, "unexpected, and reported as failed or never sent"),
        ]
    }

    /// Adds the counts. Those that must be 0 are there when they are not, and the most important ones always.
    pub fn add_counts(&self, report: &mut Report) {
        let mut line =
            |name: &str, number: u64, meaning: &str| report.line(&format!("changes {name}"), number, meaning);
        line("acknowledged", self.acknowledged, "by the brokers");
        line("in the topic", self.in_topic, "");
        line("stored", self.stored, "in table order_events");
        line("dead-lettered", self.dead_lettered, "");
        if self.unexpected_dead_letters > 0 {
            line("unexpected dead letters", self.unexpected_dead_letters, &list_causes(&self.dead_letter_causes));
        }
        for (name, number, meaning) in [
            ("replayed", self.replayed, "dead-lettered, and stored later"),
            ("repeats", self.topic_repeats, "records in the topic beyond the first of their change"),
            ("expired", self.expired, "no longer in the topic"),
            ("unchecked", self.unchecked, "rows without a record in the topic"),
            ("unexpected", self.unexpected, "in the topic or stored, but not acknowledged"),
        ] {
            if number > 0 {
                line(name, number, meaning);
            }
        }
        for (name, number, meaning) in self.imbalances() {
            if number > 0 || matches!(name, "missing" | "altered" | "holes" | "out of place") {
                line(name, number, meaning);
            }
        }
    }

    /// Adds the latency from due to stored, if it is known of a change.
    pub fn add_latency(&self, report: &mut Report) {
        if let Some(latency) = self.latency_ms.as_ref().filter(|latency| latency.count > 0) {
            add_change_latency(report, latency, self.latency_coverage, &self.stages_ms);
        }
    }
}
