//! Whether the figures of a run may be believed, and whether they are good.

use orderdb::audit::report::{AuditReport, ChangesReport, list_causes};
use shared::{
    ledger::{RunSummary, Verdict},
    requirement::RequirementResult,
};

use crate::{
    fault::FaultRecord,
    report::model::{RunCounts, RunVerdict},
};

/// What a run is judged by.
pub struct Evidence<'a> {
    pub counts: &'a RunCounts,
    pub summaries: &'a [RunSummary],
    /// `None` when the run was interrupted before it, or the audit failed.
    pub audit: Option<&'a AuditReport>,
    pub requirements: &'a [RequirementResult],
    pub faults: &'a [FaultRecord],
    /// Programs that ended unexpectedly, a drain that got stuck and the like, a sentence each.
    pub failures: &'a [String],
    pub interrupted: bool,
    /// From due to stored, in milliseconds; `None` when it was not measured.
    pub stored_p99: Option<f64>,
}

/// Judges a run. Without faults, the schedule must have been kept and each order acknowledged, as the producers judge
/// it. With faults, that is for the requirements to say; each acknowledged order must be stored unaltered and once in
/// both cases.
pub fn judge(evidence: &Evidence<'_>) -> RunVerdict {
    let mut reasons = Vec::new();
    if evidence.interrupted {
        reasons.push("the run was interrupted: its figures are those until then".to_owned());
    }
    reasons.extend(evidence.failures.iter().cloned());
    reasons.extend(evidence.faults.iter().filter_map(broken_fault));
    match evidence.audit {
        Some(audit) => reasons.extend(imbalances(audit, evidence.counts)),
        None if evidence.interrupted => {}
        None => reasons.push("the run was not audited".to_owned()),
    }
    if evidence.faults.is_empty() {
        reasons.extend(evidence.summaries.iter().filter_map(missed_schedule));
    }
    if evidence.counts.acknowledged == 0 && !evidence.interrupted {
        reasons.push("no order was acknowledged".to_owned());
    }
    if !evidence.interrupted {
        reasons.extend(evidence.requirements.iter().filter(|result| !result.met).map(|result| {
            format!("the requirement {} is not met: measured {}", result.requirement, result.measured_text())
        }));
    }
    let sentence = sentence(evidence, reasons.first());
    RunVerdict { valid: reasons.is_empty(), sentence, reasons }
}

fn broken_fault(record: &FaultRecord) -> Option<String> {
    record.error.as_ref().map(|error| format!("the fault {} failed: {error}", record.fault))
}

/// What contradicts that each acknowledged order is stored once and as it was sent.
fn imbalances(audit: &AuditReport, counts: &RunCounts) -> Vec<String> {
    let orders = |number: u64| if number == 1 { "1 order is".to_owned() } else { format!("{number} orders are") };
    let of_rows = |number: u64| if number == 1 { "1 row differs".to_owned() } else { format!("{number} rows differ") };
    let counted = [
        (audit.missing, orders(audit.missing) + " missing: neither stored nor dead-lettered"),
        (audit.expired_unstored, orders(audit.expired_unstored) + " removed from the topic before being stored"),
        (audit.missing_from_topic, orders(audit.missing_from_topic) + " acknowledged, but not in the topic"),
        (audit.altered, of_rows(audit.altered) + " from the record of the order, or from its user or product"),
        (audit.conflicting, orders(audit.conflicting) + " in the topic with different contents"),
        (counts.stored_twice, orders(counts.stored_twice) + " stored more than once"),
        (audit.unexplained, orders(audit.unexplained) + " stored, but failed or were never sent by the producers"),
        (audit.without_record, orders(audit.without_record) + " stored, but neither acknowledged nor in the topic"),
        (audit.invalid_stored, orders(audit.invalid_stored) + " invalid on purpose, but stored"),
    ];
    let mut found: Vec<String> =
        counted.into_iter().filter(|(number, _)| *number > 0).map(|(_, sentence)| sentence).collect();
    found.extend(audit.ledger_contradictions.iter().map(|text| format!("the ledger contradicts itself: {text}")));
    if audit.unexpected_dead_letters > 0 {
        let (causes, dead) = (list_causes(&audit.dead_letter_causes), audit.unexpected_dead_letters);
        found.push(format!("{} dead-lettered, but not invalid on purpose: {causes}", orders(dead)));
    }
    found.extend(audit.changes.iter().flat_map(imbalances_of_changes));
    if !audit.finished {
        found.push("a producer was killed and has not finished its part of the run".to_owned());
    }
    found
}

/// What contradicts that each acknowledged change is stored once and as it was sent.
fn imbalances_of_changes(changes: &ChangesReport) -> Vec<String> {
    let wrong = changes.imbalances().into_iter().filter(|(_, number, _)| *number > 0);
    let mut found: Vec<String> =
        wrong.map(|(name, number, meaning)| format!("changes {name}: {number} ({meaning})")).collect();
    if changes.unexpected_dead_letters > 0 {
        let causes = list_causes(&changes.dead_letter_causes);
        found.push(format!("changes dead-lettered: {} ({causes})", changes.unexpected_dead_letters));
    }
    found
}

/// Why the producer of a shard judges its own run as not valid.
fn missed_schedule(summary: &RunSummary) -> Option<String> {
    let why = match summary.verdict {
        Verdict::Valid | Verdict::RequirementNotMet => return None,
        Verdict::GeneratorLimited => "the producer itself was too slow for the rate: use more producers or more CPU",
        Verdict::BrokerLimited => "the brokers accepted orders more slowly than they were due",
        Verdict::Lossy => "orders failed, or it is not known whether they were accepted",
    };
    Some(format!("producer {}: {why}", summary.shard))
}

fn sentence(evidence: &Evidence<'_>, first_reason: Option<&String>) -> String {
    let counts = evidence.counts;
    let mut sentence = format!("{} orders acknowledged", grouped(counts.acknowledged));
    match evidence.audit {
        Some(audit) if audit.is_valid() && counts.stored_twice == 0 => {
            sentence += ", all stored once";
            if let Some(changes) = &audit.changes {
                sentence += &format!(" with {} changes", grouped(changes.acknowledged));
            }
            if counts.dead_lettered > 0 {
                sentence +=
                    &format!(" but {} dead letters, which are invalid on purpose", grouped(counts.dead_lettered));
            }
        }
        Some(_) => {
            sentence += &format!(
                ", {} stored, {} missing, {} altered",
                grouped(counts.stored),
                grouped(counts.missing),
                grouped(counts.altered)
            );
        }
        None => sentence += ", not audited",
    }
    let not_sent = counts.skipped + counts.failed + counts.unknown;
    if not_sent > 0 {
        sentence += &format!(" ({} skipped, {} failed, {} unknown)", counts.skipped, counts.failed, counts.unknown);
    }
    if let Some(p99) = evidence.stored_p99 {
        sentence += &format!("; stored p99 {p99:.0} ms");
    }
    if !evidence.faults.is_empty() {
        let plural = if evidence.faults.len() == 1 { "fault" } else { "faults" };
        sentence += &format!("; {} {plural}", evidence.faults.len());
    }
    match first_reason {
        Some(reason) => format!("Not valid: {reason}. {sentence}"),
        None => sentence,
    }
}

/// Such as `60,000`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use shared::{
        latency::LatencySummary,
        ledger::{Counts, StallSummary},
        requirement::Requirement,
    };

    use super::*;

    /// A run of 1,000 orders without anything wrong.
    struct Case {
        counts: RunCounts,
        summary: RunSummary,
        audit: AuditReport,
        requirements: Vec<RequirementResult>,
        faults: Vec<FaultRecord>,
        failures: Vec<String>,
        interrupted: bool,
    }

    impl Case {
        fn new() -> Self {
            let counts = RunCounts { scheduled: 1_000, acknowledged: 1_000, stored: 1_000, ..RunCounts::default() };
            let zero = LatencySummary::default();
            let summary = RunSummary {
                run_id: "r".parse().unwrap(),
                shard: "1/2".parse().unwrap(),
                rate_asked: Some(1_000.0),
                rate_achieved: 1_000.0,
                tail_seconds: None,
                seconds: 1.0,
                stall: StallSummary::default(),
                counts: Counts::default(),
                warm_up: Counts::default(),
                changes: None,
                errors: Default::default(),
                queue_full: 0,
                lateness_ms: zero,
                acknowledgement_ms: zero,
                round_trip_ms: zero,
                requirements: Vec::new(),
                resumed_at: None,
                verdict: Verdict::Valid,
            };
            let audit = AuditReport {
                run_id: "r".parse().unwrap(),
                producers: 1,
                finished: true,
                ledger_contradictions: Vec::new(),
                acknowledged: 1_000,
                failed: 0,
                in_topic: 1_000,
                topic_repeats: 0,
                conflicting: 0,
                stored: 1_000,
                altered: 0,
                altered_fields: 0,
                altered_attributes: 0,
                altered_sample: Vec::new(),
                unchecked: 0,
                unchecked_without_record: 0,
                without_record: 0,
                unchecked_updated: 0,
                dead_lettered: 0,
                replayed: 0,
                unexpected_dead_letters: 0,
                dead_letter_causes: Default::default(),
                invalid: 0,
                invalid_stored: 0,
                expired: 0,
                expired_unstored: 0,
                topic_beginnings: Default::default(),
                missing_from_topic: 0,
                missing: 0,
                unexpected: 0,
                unexplained: 0,
                latency_ms: None,
                latency_coverage: Some(1.0),
                stages_ms: Vec::new(),
                changes: None,
            };
            let (requirements, faults, failures) = (Vec::new(), Vec::new(), Vec::new());
            Self { counts, summary, audit, requirements, faults, failures, interrupted: false }
        }

        fn with(change: impl FnOnce(&mut Self)) -> Self {
            let mut case = Self::new();
            change(&mut case);
            case
        }

        fn judge(&self, is_audited: bool) -> RunVerdict {
            judge(&Evidence {
                counts: &self.counts,
                summaries: std::slice::from_ref(&self.summary),
                audit: is_audited.then_some(&self.audit),
                requirements: &self.requirements,
                faults: &self.faults,
                failures: &self.failures,
                interrupted: self.interrupted,
                stored_p99: Some(38.2),
            })
        }

        fn changes(&mut self) -> &mut ChangesReport {
            self.audit.changes.get_or_insert_default()
        }

        fn reasons(&self) -> Vec<String> {
            self.judge(true).reasons
        }
    }

    fn fault(error: Option<&str>) -> FaultRecord {
        FaultRecord {
            fault: "kill kafka-2".to_owned(),
            planned_seconds: 5.0,
            began_at: chrono::DateTime::UNIX_EPOCH,
            ended_at: None,
            error: error.map(str::to_owned),
            recovery: None,
        }
    }

    #[test]
    fn a_complete_run_is_valid_and_said_in_one_sentence() {
        let verdict = Case::new().judge(true);
        assert!(verdict.valid && verdict.reasons.is_empty());
        assert_eq!(verdict.sentence, "1,000 orders acknowledged, all stored once; stored p99 38 ms");
        let case = Case::with(|case| case.faults = vec![fault(None), fault(None)]);
        assert_eq!(case.judge(true).sentence, "1,000 orders acknowledged, all stored once; stored p99 38 ms; 2 faults");
        let case = Case::with(|case| case.changes().acknowledged = 2_500);
        let expected = "1,000 orders acknowledged, all stored once with 2,500 changes; stored p99 38 ms";
        assert_eq!(case.judge(true).sentence, expected);
    }

    #[test]
    fn each_contradiction_of_the_proof_makes_a_run_not_valid_whether_there_are_faults_or_not() {
        type Change = fn(&mut Case);
        let changes: [(Change, &str); 14] = [
            (|case| case.audit.missing = 3, "3 orders are missing"),
            (|case| case.audit.missing_from_topic = 1, "1 order is acknowledged, but not in the topic"),
            (|case| case.audit.expired_unstored = 2, "2 orders are removed from the topic"),
            (|case| case.audit.altered = 1, "1 row differs from the record"),
            (|case| case.audit.conflicting = 2, "2 orders are in the topic with different contents"),
            (|case| case.counts.stored_twice = 1, "1 order is stored more than once"),
            (|case| case.audit.unexplained = 1, "1 order is stored, but failed or were never sent"),
            (|case| case.audit.without_record = 2, "2 orders are stored, but neither acknowledged nor in the topic"),
            (|case| case.audit.invalid_stored = 1, "1 order is invalid on purpose, but stored"),
            (|case| case.audit.unexpected_dead_letters = 4, "4 orders are dead-lettered, but not invalid on purpose"),
            (|case| case.changes().misplaced = 2, "changes out of place: 2 (orders without the last status"),
            (|case| case.changes().unexpected_dead_letters = 1, "changes dead-lettered: 1"),
            (|case| case.audit.finished = false, "has not finished its part"),
            (|case| case.audit.ledger_contradictions = vec!["x".to_owned()], "the ledger contradicts itself: x"),
        ];
        for (change, words) in changes {
            for faults in [Vec::new(), vec![fault(None)]] {
                let case = Case::with(|case| {
                    change(case);
                    case.faults = faults;
                });
                let verdict = case.judge(true);
                assert!(!verdict.valid && verdict.reasons.len() == 1, "{words}: {:?}", verdict.reasons);
                assert!(verdict.reasons[0].contains(words), "{words}: {:?}", verdict.reasons);
                assert!(verdict.sentence.starts_with("Not valid: "), "{}", verdict.sentence);
            }
        }
    }

    #[test]
    fn a_missed_schedule_and_lost_orders_count_without_faults_and_are_told_with_faults() {
        for verdict in [Verdict::GeneratorLimited, Verdict::BrokerLimited, Verdict::Lossy] {
            let mut case = Case::with(|case| {
                case.summary.verdict = verdict;
                case.counts.failed = 7;
            });
            assert!(case.reasons()[0].starts_with("producer 1/2: "), "{:?}", case.reasons());
            case.faults.push(fault(None));
            let verdict = case.judge(true);
            assert!(verdict.valid && verdict.sentence.contains("7 failed"), "{verdict:?}");
        }
        let not_met = Case::with(|case| case.summary.verdict = Verdict::RequirementNotMet);
        assert!(not_met.judge(true).valid, "the requirements of the scenario are judged themselves");
    }

    #[test]
    fn a_fault_that_failed_a_requirement_an_interruption_and_other_failures_are_reasons() {
        let case = Case::with(|case| {
            case.faults.push(fault(Some("no such service")));
            case.requirements.push("stored p99 < 30ms".parse::<Requirement>().unwrap().check(Some(38.2)));
            case.requirements.push("missing = 0".parse::<Requirement>().unwrap().check(Some(0.0)));
            case.failures.push("consumer-1 ended unexpectedly".to_owned());
        });
        assert_eq!(
            case.reasons(),
            [
                "consumer-1 ended unexpectedly",
                "the fault kill kafka-2 failed: no such service",
                "the requirement stored p99 < 30ms is not met: measured 38.200 ms"
            ]
        );
        let interrupted = Case::with(|case| case.interrupted = true).judge(false);
        assert_eq!(interrupted.reasons.len(), 1);
        assert!(interrupted.reasons[0].contains("interrupted"));
        assert!(interrupted.sentence.contains("not audited"), "{}", interrupted.sentence);
        let not_audited = Case::new().judge(false);
        assert_eq!(not_audited.reasons, ["the run was not audited"]);
        let empty = Case::with(|case| case.counts.acknowledged = 0);
        assert_eq!(empty.reasons(), ["no order was acknowledged"]);
    }
}
