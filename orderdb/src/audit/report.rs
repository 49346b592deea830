//! What the three counts say when they are held against each other.

use roaring::RoaringTreemap;
use serde::Serialize;
use shared::{
    latency::LatencySummary,
    ledger::{JournalContents, Ledger, RunId, RunSummary},
    report::Report,
};

use super::log::InTopic;

/// What was found of a run.
pub struct Evidence {
    /// The run.
    pub run_id: RunId,
    /// What its producers know.
    pub ledgers: Vec<Ledger>,
    /// What the topic has.
    pub in_topic: InTopic,
    /// What the dead-letter topic has.
    pub dead_lettered: InTopic,
    /// What the table has.
    pub stored: RoaringTreemap,
    /// Due to commit, when the consumers' logs were given.
    pub latency: Option<Way>,
}

/// How long orders took from due to commit.
pub struct Way {
    /// All of it.
    pub whole: LatencySummary,
    /// Its parts, in order.
    pub stages: Vec<StageSummary>,
}

/// How long orders took in one stage.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct StageSummary {
    /// The stage's name.
    pub stage: &'static str,
    /// In milliseconds.
    #[serde(flatten)]
    pub latency: LatencySummary,
}

/// The audit's result; every number counts orders, not records.
#[derive(Clone, Debug, Serialize)]
pub struct AuditReport {
    /// The run.
    pub run_id: RunId,
    /// Producers that shared the run.
    pub producers: usize,
    /// Whether each producer lived to write its summary.
    pub finished: bool,
    /// Acknowledged by the brokers.
    pub acknowledged: u64,
    /// Reported by the client library as surely not in the log.
    pub failed: u64,
    /// In the topic.
    pub in_topic: u64,
    /// Records of the topic beyond the first of their order.
    pub topic_repeats: u64,
    /// In the table.
    pub stored: u64,
    /// In the dead-letter topic.
    pub dead_lettered: u64,
    /// Of those, in the table by now: put back once their cause was gone.
    pub replayed: u64,
    /// Made invalid on purpose, and therefore to be dead-lettered.
    pub invalid: u64,
    /// Of `invalid`, those that are in the table all the same.
    pub invalid_stored: u64,
    /// Acknowledged, but not in the topic: lost by the brokers.
    pub missing_from_topic: u64,
    /// Acknowledged or in the topic, but neither stored nor dead-lettered: lost by the consumers, or not read yet.
    pub missing: u64,
    /// Stored, but not acknowledged.
    pub unexpected: u64,
    /// Those of `unexpected` that nothing explains: the producer knows every order's fate, and this was not to be there.
    pub unexplained: u64,
    /// Due to commit in milliseconds, when the consumers' logs were given.
    pub latency_ms: Option<LatencySummary>,
    /// The parts of it, in order.
    pub stages_ms: Vec<StageSummary>,
}

impl AuditReport {
    /// Holds the counts against each other.
    pub fn compare(evidence: Evidence) -> Self {
        let Evidence { run_id, ledgers, in_topic, dead_lettered, stored, latency } = evidence;
        let producers = ledgers.len();
        // None as soon as one producer has no summary.
        let unknown: Option<u64> = ledgers.iter().map(|ledger| ledger.summary.as_ref().map(RunSummary::unknown)).sum();
        let mut journal = JournalContents::default();
        ledgers.into_iter().for_each(|ledger| journal.add(ledger.journal));
        let ended = &stored | &dead_lettered.sequences;
        let owed = &journal.acknowledged | &in_topic.sequences;
        let unexpected = &stored - &journal.acknowledged;
        // An order whose fate the producer does not know may be there. A killed producer knows nothing of its last second.
        let refuted = unexpected.intersection_len(&journal.failed);
        let unexplained = match unknown {
            Some(unknown) => refuted.max(unexpected.len().saturating_sub(unknown)),
            None => refuted,
        };
        Self {
            run_id,
            producers,
            finished: unknown.is_some(),
            acknowledged: journal.acknowledged.len(),
            failed: journal.failed.len(),
            in_topic: in_topic.sequences.len(),
            topic_repeats: in_topic.repeats,
            stored: stored.len(),
            dead_lettered: dead_lettered.sequences.len(),
            replayed: dead_lettered.sequences.intersection_len(&stored),
            invalid: journal.invalid.len(),
            invalid_stored: stored.intersection_len(&journal.invalid),
            missing_from_topic: (&journal.acknowledged - &in_topic.sequences).len(),
            missing: (owed - ended).len(),
            unexpected: unexpected.len(),
            unexplained,
            latency_ms: latency.as_ref().map(|way| way.whole),
            stages_ms: latency.map_or_else(Vec::new, |way| way.stages),
        }
    }

    /// Whether nothing was lost and nothing is there that was not to be.
    pub fn is_balanced(&self) -> bool {
        self.missing == 0 && self.missing_from_topic == 0 && self.unexplained == 0 && self.invalid_stored == 0
    }

    /// The report for a person.
    pub fn for_person(&self) -> Report {
        let mut report = Report::about("audit of run", &self.run_id.to_string());
        let ledgers = match self.producers {
            1 => "as the producer's ledger has it".to_owned(),
            producers => format!("as the ledgers of {producers} producers have it"),
        };
        report.line("acknowledged", self.acknowledged, format!("by the brokers, {ledgers}"));
        report.line("in the topic", self.in_topic, "");
        report.line("stored", self.stored, "in the table");
        let on_purpose = match self.invalid {
            0 => String::new(),
            invalid => format!("{invalid} orders were invalid on purpose"),
        };
        report.line("dead-lettered", self.dead_lettered, on_purpose);
        if self.replayed > 0 {
            report.line("replayed", self.replayed, "dead-lettered once, and in the table by now");
        }
        if self.invalid_stored > 0 {
            report.line("invalid, stored", self.invalid_stored, "invalid on purpose, and in the table all the same");
        }
        report.line("repeats", self.topic_repeats, "records of the topic beyond the first of their order");
        report.line("missing from topic", self.missing_from_topic, "acknowledged, but the brokers don't have it");
        report.line("missing", self.missing, "neither stored nor dead-lettered");
        report.line("unexpected", self.unexpected, "stored, but not acknowledged");
        report.line("unexplained", self.unexplained, "unexpected, although the producer knew its fate");
        if let Some(latency) = self.latency_ms {
            let figures = format!("p50 {} · p99 {} · max {} ms", latency.p50, latency.p99, latency.max);
            report.line("due to stored", latency.count, figures);
            add_stages(&mut report, &self.stages_ms);
        }
        let verdict = match (self.is_balanced(), self.finished) {
            (true, true) => "balanced",
            (true, false) => "balanced so far",
            (false, _) => "NOT BALANCED",
        };
        report.line("verdict", verdict, if self.finished { "" } else { "the producer did not finish" });
        report
    }
}

/// A line a stage.
pub fn add_stages(report: &mut Report, stages: &[StageSummary]) {
    for StageSummary { stage, latency } in stages {
        let percentiles = format!("p99 {} · max {} ms", latency.p99, latency.max);
        report.line(&format!("  {stage}"), format!("p50 {} ms", latency.p50), percentiles);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::DateTime;
    use shared::{
        ledger::{Counts, Run, Shard, Verdict},
        order_id::RunTag,
    };

    use super::*;

    fn summary(unknown: u64) -> RunSummary {
        RunSummary {
            run_id: "r".parse().unwrap(),
            shard: Shard::SINGLE,
            rate_asked: None,
            rate_achieved: 1.0,
            seconds: 1.0,
            counts: Counts { unknown, ..Counts::default() },
            warm_up: Counts::default(),
            errors: BTreeMap::new(),
            queue_full: 0,
            lateness_ms: LatencySummary::default(),
            acknowledgement_ms: LatencySummary::default(),
            round_trip_ms: LatencySummary::default(),
            verdict: Verdict::Valid,
        }
    }

    struct Orders {
        acknowledged: std::ops::Range<u64>,
        failed: std::ops::Range<u64>,
        invalid: std::ops::Range<u64>,
        in_topic: std::ops::Range<u64>,
        dead_lettered: std::ops::Range<u64>,
        stored: std::ops::Range<u64>,
        unknown: Option<u64>,
    }

    fn compare(orders: Orders) -> AuditReport {
        let in_topic = |range: std::ops::Range<u64>| InTopic { sequences: range.collect(), repeats: 0 };
        AuditReport::compare(Evidence {
            run_id: "r".parse().unwrap(),
            ledgers: vec![Ledger {
                run: Run {
                    run_id: "r".parse().unwrap(),
                    shard: Shard::SINGLE,
                    tag: RunTag::random(),
                    started_at: DateTime::UNIX_EPOCH,
                    topic: "orders".to_owned(),
                    backdated: false,
                    settings: BTreeMap::new(),
                },
                journal: JournalContents {
                    acknowledged: orders.acknowledged.collect(),
                    failed: orders.failed.collect(),
                    invalid: orders.invalid.collect(),
                },
                summary: orders.unknown.map(summary),
            }],
            in_topic: in_topic(orders.in_topic),
            dead_lettered: in_topic(orders.dead_lettered),
            stored: orders.stored.collect(),
            latency: None,
        })
    }

    const WHOLE: Orders = Orders {
        acknowledged: 0..100,
        failed: 0..0,
        invalid: 0..0,
        in_topic: 0..100,
        dead_lettered: 0..0,
        stored: 0..100,
        unknown: Some(0),
    };

    #[test]
    fn a_whole_run_is_balanced_and_dead_letters_count_as_kept() {
        assert!(compare(WHOLE).is_balanced());
        assert!(compare(Orders { stored: 10..100, dead_lettered: 0..10, ..WHOLE }).is_balanced());
    }

    #[test]
    fn an_invalid_order_is_to_be_dead_lettered_and_not_stored() {
        let sorted_out = compare(Orders { stored: 10..100, dead_lettered: 0..10, invalid: 0..10, ..WHOLE });
        assert_eq!((sorted_out.invalid, sorted_out.is_balanced()), (10, true));
        let let_through = compare(Orders { stored: 5..100, dead_lettered: 0..5, invalid: 0..10, ..WHOLE });
        assert_eq!((let_through.invalid_stored, let_through.is_balanced()), (5, false));
        assert!(!compare(Orders { stored: 10..100, invalid: 0..10, ..WHOLE }).is_balanced());
    }

    #[test]
    fn a_loss_names_its_side() {
        let by_consumers = compare(Orders { stored: 1..100, ..WHOLE });
        assert_eq!((by_consumers.missing, by_consumers.missing_from_topic), (1, 0));
        let by_brokers = compare(Orders { stored: 1..100, in_topic: 1..100, ..WHOLE });
        assert_eq!((by_brokers.missing, by_brokers.missing_from_topic), (1, 1));
        assert!(!by_consumers.is_balanced() && !by_brokers.is_balanced());
    }

    #[test]
    fn an_order_in_the_topic_is_owed_even_if_its_acknowledgement_was_lost() {
        assert_eq!(compare(Orders { acknowledged: 0..90, stored: 0..90, unknown: Some(10), ..WHOLE }).missing, 10);
    }

    #[test]
    fn what_is_stored_without_an_acknowledgement_is_explained_only_by_an_unknown_fate() {
        let more = Orders { acknowledged: 0..90, ..WHOLE };
        assert_eq!(compare(Orders { unknown: Some(10), ..more }).unexplained, 0);
        let more = Orders { acknowledged: 0..90, ..WHOLE };
        assert_eq!(compare(Orders { unknown: None, ..more }).unexplained, 0);
        let more = Orders { acknowledged: 0..90, ..WHOLE };
        assert_eq!(compare(Orders { unknown: Some(0), ..more }).unexplained, 10);
        let failed = Orders { acknowledged: 0..90, failed: 95..100, unknown: Some(5), ..WHOLE };
        assert_eq!(compare(failed).unexplained, 5);
        let more_than_unknown = Orders { acknowledged: 0..90, unknown: Some(3), ..WHOLE };
        assert_eq!(compare(more_than_unknown).unexplained, 7);
    }
}
