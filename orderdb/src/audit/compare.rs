//! Compares the ledger, the topic and the table of a run.

use shared::ledger::{JournalContents, RunSummary};

use super::{report::AuditReport, sources::AuditSources};

/// Counts the orders of each source, and those that one source has and another lacks.
pub fn compare(sources: AuditSources) -> AuditReport {
    let AuditSources { run_id, ledgers, in_topic, dead_lettered, stored, latency } = sources;
    let producers = ledgers.len();
    // None if a producer has no summary: the number is not known.
    let unknown: Option<u64> = ledgers.iter().map(|ledger| ledger.summary.as_ref().map(RunSummary::unknown)).sum();
    let mut journal = JournalContents::default();
    ledgers.into_iter().for_each(|ledger| journal.add(ledger.journal));
    let expected = &journal.acknowledged | &in_topic.sequences;
    let stored_or_dead_lettered = &stored | &dead_lettered.sequences;
    let unexpected = &stored - &journal.acknowledged;
    // An order of unknown outcome may be in the table. A killed producer has no record of its last second.
    let failed_but_stored = unexpected.intersection_len(&journal.failed);
    let unexplained = match unknown {
        Some(unknown) => failed_but_stored.max(unexpected.len().saturating_sub(unknown)),
        None => failed_but_stored,
    };
    AuditReport {
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
        missing: (expected - stored_or_dead_lettered).len(),
        unexpected: unexpected.len(),
        unexplained,
        latency_ms: latency.as_ref().map(|latency| latency.total),
        stages_ms: latency.map_or_else(Vec::new, |latency| latency.stages),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::DateTime;
    use shared::{
        latency::LatencySummary,
        ledger::{Counts, Ledger, Run, Shard, Verdict},
        order_id::RunTag,
    };

    use super::{super::topic::TopicSequences, *};

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

    fn compare_orders(orders: Orders) -> AuditReport {
        let in_topic = |range: std::ops::Range<u64>| TopicSequences { sequences: range.collect(), repeats: 0 };
        compare(AuditSources {
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

    const COMPLETE: Orders = Orders {
        acknowledged: 0..100,
        failed: 0..0,
        invalid: 0..0,
        in_topic: 0..100,
        dead_lettered: 0..0,
        stored: 0..100,
        unknown: Some(0),
    };

    #[test]
    fn a_complete_run_is_balanced_and_dead_letters_are_not_missing() {
        assert!(compare_orders(COMPLETE).is_balanced());
        assert!(compare_orders(Orders { stored: 10..100, dead_lettered: 0..10, ..COMPLETE }).is_balanced());
    }

    #[test]
    fn an_invalid_order_must_be_dead_lettered_and_not_stored() {
        let all_dead_lettered =
            compare_orders(Orders { stored: 10..100, dead_lettered: 0..10, invalid: 0..10, ..COMPLETE });
        assert_eq!((all_dead_lettered.invalid, all_dead_lettered.is_balanced()), (10, true));
        let half_stored = compare_orders(Orders { stored: 5..100, dead_lettered: 0..5, invalid: 0..10, ..COMPLETE });
        assert_eq!((half_stored.invalid_stored, half_stored.is_balanced()), (5, false));
        assert!(!compare_orders(Orders { stored: 10..100, invalid: 0..10, ..COMPLETE }).is_balanced());
    }

    #[test]
    fn a_lost_order_is_attributed_to_brokers_or_consumers() {
        let by_consumers = compare_orders(Orders { stored: 1..100, ..COMPLETE });
        assert_eq!((by_consumers.missing, by_consumers.missing_from_topic), (1, 0));
        let by_brokers = compare_orders(Orders { stored: 1..100, in_topic: 1..100, ..COMPLETE });
        assert_eq!((by_brokers.missing, by_brokers.missing_from_topic), (1, 1));
        assert!(!by_consumers.is_balanced() && !by_brokers.is_balanced());
    }

    #[test]
    fn an_order_in_the_topic_must_be_stored_even_if_its_acknowledgement_was_lost() {
        assert_eq!(
            compare_orders(Orders { acknowledged: 0..90, stored: 0..90, unknown: Some(10), ..COMPLETE }).missing,
            10
        );
    }

    #[test]
    fn an_order_stored_without_an_acknowledgement_is_explained_only_by_an_unknown_outcome() {
        let more = Orders { acknowledged: 0..90, ..COMPLETE };
        assert_eq!(compare_orders(Orders { unknown: Some(10), ..more }).unexplained, 0);
        let more = Orders { acknowledged: 0..90, ..COMPLETE };
        assert_eq!(compare_orders(Orders { unknown: None, ..more }).unexplained, 0);
        let more = Orders { acknowledged: 0..90, ..COMPLETE };
        assert_eq!(compare_orders(Orders { unknown: Some(0), ..more }).unexplained, 10);
        let failed = Orders { acknowledged: 0..90, failed: 95..100, unknown: Some(5), ..COMPLETE };
        assert_eq!(compare_orders(failed).unexplained, 5);
        let more_than_unknown = Orders { acknowledged: 0..90, unknown: Some(3), ..COMPLETE };
        assert_eq!(compare_orders(more_than_unknown).unexplained, 7);
    }
}
