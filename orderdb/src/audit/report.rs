//! The result of an audit, as JSON and as text.

use std::{collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::{
    latency::LatencySummary,
    ledger::RunId,
    report::{Report, table},
};

pub use super::{
    causes::list_causes,
    changes_report::{ChangesReport, WrongHistory},
    latency::StageSummary,
    stored_latency::{add_stored_latency, coverage_note},
    table::AlteredOrder,
};

/// The result of an audit. Numbers are counts of orders, except where documented otherwise.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AuditReport {
    pub run_id: RunId,
    /// Producers that shared the run.
    pub producers: usize,
    /// Whether each producer wrote its summary.
    pub finished: bool,
    /// How the files of the ledger contradict each other, a sentence each.
    pub ledger_contradictions: Vec<String>,
    /// Acknowledged by the brokers.
    pub acknowledged: u64,
    /// Reported by librdkafka as not persisted.
    pub failed: u64,
    pub in_topic: u64,
    /// Records in the topic beyond the first of their order.
    pub topic_repeats: u64,
    /// With records of different content in the topic.
    pub conflicting: u64,
    /// In the table.
    pub stored: u64,
    /// Rows that differ from their record, or from their user or product. Every row is compared.
    pub altered: u64,
    /// Of `altered`, those that differ from their record in the topic.
    pub altered_fields: u64,
    /// Of `altered`, those that differ from their user or product in region, gender, age group or category.
    pub altered_attributes: u64,
    /// At most ten of `altered`.
    pub altered_sample: Vec<AlteredOrder>,
    /// Rows of which not everything could be compared.
    pub unchecked: u64,
    /// Of `unchecked`, those whose record is not in the topic.
    pub unchecked_without_record: u64,
    /// Of `unchecked_without_record`, those neither acknowledged nor expired: no producer sent them.
    #[serde(default)]
    pub without_record: u64,
    /// Of `unchecked`, those whose user or product was updated after the order, or less than ten minutes before it.
    pub unchecked_updated: u64,
    /// In the dead-letter topic.
    pub dead_lettered: u64,
    /// Of `dead_lettered`, those that are in the table: replayed later.
    pub replayed: u64,
    /// Of `dead_lettered`, those that are neither invalid on purpose nor replayed.
    pub unexpected_dead_letters: u64,
    /// `unexpected_dead_letters` by the kind of the reason. An order may have several.
    pub dead_letter_causes: BTreeMap<String, u64>,
    /// Made invalid on purpose, so they must be dead-lettered.
    pub invalid: u64,
    /// Of `invalid`, those that are in the table.
    pub invalid_stored: u64,
    /// Acknowledged, but no longer in the topic, whose partitions have lost their beginning: removed by retention or by
    /// `kafka-delete-records`, as far as the first offsets tell.
    pub expired: u64,
    /// Of `expired`, those neither stored nor dead-lettered: removed before they were stored.
    pub expired_unstored: u64,
    /// First offset of each partition that may have lost records of the run; empty when none is expired.
    pub topic_beginnings: BTreeMap<i32, i64>,
    /// Acknowledged, but not in the topic, and not expired: lost by the brokers.
    pub missing_from_topic: u64,
    /// Acknowledged or in the topic, but neither stored nor dead-lettered nor expired: lost by the consumers, or not
    /// read yet.
    pub missing: u64,
    /// Stored, but not acknowledged.
    pub unexpected: u64,
    /// Of `unexpected`, those that the producer reported as failed or never sent.
    pub unexplained: u64,
    /// From due to stored, in milliseconds. `None` if the consumers' latency logs were not read.
    pub latency_ms: Option<LatencySummary>,
    /// The share of the stored orders that `latency_ms` is of, 0 to 1. More than 1 when orders were stored again after
    /// a crash. `None` without latencies or stored orders.
    pub latency_coverage: Option<f64>,
    /// The stages of `latency_ms`, in order.
    pub stages_ms: Vec<StageSummary>,
    /// The changes of the orders; `None` for a run without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<ChangesReport>,
}

impl AuditReport {
    /// Whether no order is missing, each is stored as it was sent, none is in the table that must not be there, the same
    /// is true of their changes, and the files of the ledger agree.
    pub fn is_balanced(&self) -> bool {
        let Self { missing, missing_from_topic, expired_unstored, altered, conflicting, without_record, .. } = self;
        let wrong = [missing, missing_from_topic, expired_unstored, altered, conflicting, without_record];
        wrong.into_iter().all(|orders| *orders == 0)
            && self.unexplained == 0
            && self.invalid_stored == 0
            && self.ledger_contradictions.is_empty()
            && self.changes.as_ref().is_none_or(ChangesReport::is_balanced)
    }

    /// Whether the counts balance, and no order is dead-lettered but those that are invalid on purpose, and no change.
    pub fn is_valid(&self) -> bool {
        self.is_balanced() && self.unexpected_dead_letters == 0 && self.unexpected_dead_letters_of_changes() == 0
    }

    fn unexpected_dead_letters_of_changes(&self) -> u64 {
        self.changes.as_ref().map_or(0, |changes| changes.unexpected_dead_letters)
    }

    fn add_counts(&self, report: &mut Report) {
        let ledgers = match self.producers {
            1 => "from the producer's ledger".to_owned(),
            producers => format!("from the ledgers of {producers} producers"),
        };
        report.line("acknowledged", self.acknowledged, format!("by the brokers, {ledgers}"));
        for contradiction in &self.ledger_contradictions {
            report.line("ledger", "contradictory", contradiction);
        }
        report.line("in the topic", self.in_topic, "");
        report.line("stored", self.stored, "in table orders");
        self.add_dead_letters(report);
        report.line("repeats", self.topic_repeats, "records in the topic beyond the first of their order");
        if self.conflicting > 0 {
            report.line("conflicting", self.conflicting, "records with one order id and different contents");
        }
        if self.expired > 0 {
            report.line("expired", self.expired, self.expiry());
        }
        report.line("missing from topic", self.missing_from_topic, "acknowledged, but not in the topic");
        report.line("missing", self.missing, "neither stored nor dead-lettered");
        report.line("altered", self.altered, self.alterations());
        if self.unchecked > 0 {
            report.line("unchecked", self.unchecked, self.uncheckable());
        }
        if self.without_record > 0 {
            report.line("without record", self.without_record, "stored, but neither acknowledged nor in the topic");
        }
        report.line("unexpected", self.unexpected, "stored, but not acknowledged");
        report.line(
            "unexplained",
            self.unexplained,
            "unexpected, and the producer reported them as failed or never sent them",
        );
    }

    fn add_dead_letters(&self, report: &mut Report) {
        let invalid = match self.invalid {
            0 => String::new(),
            invalid => format!("{invalid} orders are invalid on purpose"),
        };
        report.line("dead-lettered", self.dead_lettered, invalid);
        if self.unexpected_dead_letters > 0 {
            let causes = list_causes(&self.dead_letter_causes);
            report.line("unexpected dead letters", self.unexpected_dead_letters, causes);
        }
        if self.replayed > 0 {
            report.line("replayed", self.replayed, "dead-lettered, and stored later");
        }
        if self.invalid_stored > 0 {
            report.line("invalid, stored", self.invalid_stored, "invalid on purpose, but in the table");
        }
    }

    fn expiry(&self) -> String {
        let beginnings = self.topic_beginnings.iter().map(|(partition, offset)| format!("{partition} at {offset}"));
        format!(
            "no longer in the topic, {} of them not stored; partitions begin: {}",
            self.expired_unstored,
            beginnings.collect::<Vec<_>>().join(", ")
        )
    }

    fn alterations(&self) -> String {
        match self.altered {
            0 => "rows that differ from their record, user or product".to_owned(),
            _ => format!(
                "{} rows differ from their record, {} from their user or product",
                self.altered_fields, self.altered_attributes
            ),
        }
    }

    fn uncheckable(&self) -> String {
        let mut reasons = Vec::new();
        if self.unchecked_without_record > 0 {
            reasons.push(format!("{} rows without a record in the topic", self.unchecked_without_record));
        }
        if self.unchecked_updated > 0 {
            reasons.push(format!("{} rows whose user or product was updated since", self.unchecked_updated));
        }
        reasons.join(", ")
    }

    fn verdict(&self) -> &'static str {
        match (self.is_balanced(), self.is_valid(), self.finished) {
            (true, true, true) => "balanced",
            (true, true, false) => "balanced, unfinished",
            (true, false, _) => "NOT VALID: unexpected dead letters",
            (false, ..) => "NOT BALANCED",
        }
    }
}

impl fmt::Display for AuditReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut report = Report::about("audit of run", &self.run_id.to_string());
        self.add_counts(&mut report);
        if let Some(latency) = &self.latency_ms {
            report.line("in latency logs", latency.count, "stored orders whose latency is known");
            add_stored_latency(&mut report, latency, self.latency_coverage, &self.stages_ms);
        }
        if let Some(changes) = &self.changes {
            changes.add_counts(&mut report);
            changes.add_latency(&mut report);
        }
        let unfinished = if self.finished { "" } else { "a producer has not written its summary" };
        report.line("verdict", self.verdict(), unfinished);
        report.fmt(f)?;
        if !self.altered_sample.is_empty() {
            let mut rows = table(["altered order, such as", "columns that differ"]);
            for AlteredOrder { order_id, columns, .. } in &self.altered_sample {
                rows.add_row([order_id, &columns.join(", ")]);
            }
            write!(f, "\n{rows}")?;
        }
        let wrong = self.changes.iter().flat_map(|changes| &changes.wrong_sample);
        if wrong.clone().next().is_some() {
            let mut rows = table(["wrong history, such as", "what is wrong"]);
            for WrongHistory { order_id, defects } in wrong {
                rows.add_row([order_id, &defects.join("; ")]);
            }
            write!(f, "\n{rows}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    /// Changes with every line.
    fn changes(latency: LatencySummary) -> ChangesReport {
        ChangesReport {
            acknowledged: 123_456_789,
            failed: 1,
            in_topic: 123_456_789,
            topic_repeats: 1,
            conflicting: 1,
            unreadable: 1,
            stored: 123_456_789,
            altered: 123_456_789,
            unchecked: 1,
            without_record: 1,
            holes: 1,
            misplaced: 1,
            illegal: 1,
            wrong_sample: vec![WrongHistory {
                order_id: "01a1fe98-1769-7bb7-a168-eb4000000001".to_owned(),
                defects: vec!["number 1 is missing".to_owned(), "number 2 differs from its record".to_owned()],
            }],
            dead_lettered: 1,
            replayed: 1,
            unexpected_dead_letters: 123_456_789,
            dead_letter_causes: BTreeMap::from([("unknown_order".to_owned(), 1)]),
            expired: 123_456_789,
            expired_unstored: 1,
            missing_from_topic: 1,
            missing: 1,
            unexpected: 1,
            unexplained: 1,
            latency_ms: Some(latency),
            latency_coverage: Some(0.5),
            stages_ms: vec![StageSummary { stage: "insert".into(), latency }],
        }
    }

    #[test]
    fn a_report_fits_80_columns_and_has_a_row_of_percentiles_per_stage() {
        let latency = LatencySummary { count: 9_000_000, p50: 4.25, p999: 123_456.789, ..LatencySummary::default() };
        let report = AuditReport {
            run_id: "20261121-075223-e1f74c".parse().unwrap(),
            producers: 4,
            finished: false,
            ledger_contradictions: vec![
                "shard 2/4: summary.json counts 123456789 acknowledged orders, the journal has 123456788".to_owned(),
            ],
            acknowledged: 123_456_789,
            failed: 1,
            in_topic: 123_456_789,
            topic_repeats: 1,
            conflicting: 1,
            stored: 123_456_789,
            altered: 123_456_789,
            altered_fields: 123_456_789,
            altered_attributes: 123_456_789,
            altered_sample: vec![AlteredOrder {
                order_id: "01a1fe98-1769-7bb7-a168-eb4000000001".to_owned(),
                columns: ["quantity", "total_amount", "shipping_cost", "user_region"].map(Cow::from).to_vec(),
                row: None,
            }],
            unchecked: 123_456_789,
            unchecked_without_record: 123_456_789,
            without_record: 123_456_789,
            unchecked_updated: 123_456_789,
            dead_lettered: 1,
            replayed: 1,
            unexpected_dead_letters: 123_456_789,
            dead_letter_causes: BTreeMap::from([("refused_by_table".to_owned(), 1), ("unknown_user".to_owned(), 1)]),
            invalid: 1,
            invalid_stored: 1,
            expired: 123_456_789,
            expired_unstored: 1,
            topic_beginnings: (0..9).map(|partition| (partition, 123_456_789)).collect(),
            missing_from_topic: 1,
            missing: 1,
            unexpected: 1,
            unexplained: 1,
            latency_ms: Some(latency),
            latency_coverage: Some(0.5),
            stages_ms: vec![StageSummary { stage: "insert".into(), latency }],
            changes: Some(changes(latency)),
        };
        let text = report.to_string();
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        for name in ["│ due to stored", "change due to stored", "  insert"] {
            let row = text.lines().find(|line| line.contains(name)).unwrap();
            assert!(row.contains("4.250") && row.contains("123456.789"), "{text}");
        }
        assert!(text.contains("number 1 is missing"), "{text}");
    }
}
