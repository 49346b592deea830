//! Compares the ledger, the topic and the table of a run.

use std::collections::BTreeMap;

use roaring::RoaringTreemap;
use shared::ledger::{JournalContents, Ledger};

use super::{
    compare_changes::{ChangeSources, compare_changes},
    latency::RunLatencies,
    report::AuditReport,
    sources::AuditSources,
    topic::TopicRecords,
};

/// Counts the orders of each source, and those that one source has and another lacks.
pub fn compare(sources: AuditSources) -> AuditReport {
    let AuditSources { run_id, ledgers, in_topic, beginnings, recorded_later, dead_lettered, stored, latency } =
        sources;
    let (latency, change_latency) = latency.map(|RunLatencies { orders, changes }| (orders, changes)).unzip();
    let producers = ledgers.len();
    let ledger_contradictions = ledgers.iter().flat_map(Ledger::contradictions).collect();
    let mut journal = JournalContents::default();
    ledgers.iter().for_each(|ledger| journal.add(ledger.journal.clone()));
    let removed = removed(&ledgers, &in_topic, &beginnings, &(&journal.acknowledged | &stored.sequences));
    let expired = &journal.acknowledged & &removed;
    let changes = ChangeSources {
        in_topic: &in_topic,
        recorded_later: &recorded_later.changes,
        dead_lettered: &dead_lettered.changes,
        stored: stored.changes,
        latency: change_latency,
        removed_orders: &removed,
    };
    let changes = compare_changes(&ledgers, &journal, changes);
    let (in_topic, dead_lettered) = (in_topic.orders, dead_lettered.orders);
    let expected = &journal.acknowledged | &in_topic.numbers;
    let missing = &expected - (&stored.sequences | &dead_lettered.sequences);
    let unexpected = &stored.sequences - &journal.acknowledged;
    let unexplained = ledgers.iter().map(|ledger| unexplained(ledger, &unexpected)).sum();
    let known = &expected | &recorded_later.orders | &removed;
    let conflicting = &in_topic.conflicting | dead_lettered.conflicting();
    // One content of a conflicting order is not stored: its dead letter stays one.
    let replayed = (&dead_lettered.sequences & &stored.sequences) - &conflicting;
    let unexpected_dead_letters = &dead_lettered.sequences - (&journal.invalid | &replayed);
    AuditReport {
        run_id,
        producers,
        finished: ledgers.iter().all(|ledger| ledger.summary.is_some()),
        ledger_contradictions,
        acknowledged: journal.acknowledged.len(),
        failed: journal.failed.len(),
        in_topic: in_topic.numbers.len(),
        topic_repeats: in_topic.repeats,
        conflicting: conflicting.len(),
        stored: stored.sequences.len(),
        altered: stored.altered,
        altered_fields: stored.altered_fields,
        altered_attributes: stored.altered_attributes,
        altered_sample: stored.sample,
        unchecked: stored.unchecked,
        unchecked_without_record: stored.without_record,
        without_record: (&stored.sequences - &known).len(),
        unchecked_updated: stored.attributes_updated,
        dead_lettered: dead_lettered.sequences.len(),
        replayed: replayed.len(),
        unexpected_dead_letters: unexpected_dead_letters.len(),
        dead_letter_causes: dead_lettered.causes(&unexpected_dead_letters),
        invalid: journal.invalid.len(),
        invalid_stored: stored.sequences.intersection_len(&journal.invalid),
        expired: expired.len(),
        expired_unstored: missing.intersection_len(&expired),
        topic_beginnings: if expired.is_empty() { BTreeMap::new() } else { beginnings },
        missing_from_topic: (&journal.acknowledged - (&in_topic.numbers | &expired)).len(),
        missing: missing.len() - missing.intersection_len(&expired),
        unexpected: unexpected.len(),
        unexplained,
        latency_ms: latency.as_ref().map(|latency| latency.total),
        latency_coverage: latency
            .as_ref()
            .filter(|_| !stored.sequences.is_empty())
            .map(|latency| latency.total.count as f64 / stored.sequences.len() as f64),
        stages_ms: latency.map_or_else(Vec::new, |latency| latency.stages),
        changes,
    }
}

/// How many of the unexpected orders of a shard its producer reported as failed or never sent. An order of unknown
/// outcome may be in the table. A killed producer has no record of its last second.
fn unexplained(ledger: &Ledger, unexpected: &RoaringTreemap) -> u64 {
    let of_shard: RoaringTreemap = unexpected.iter().filter(|sequence| ledger.run.shard.has(*sequence)).collect();
    let failed_but_stored = of_shard.intersection_len(&ledger.journal.failed);
    match &ledger.summary {
        Some(summary) => failed_but_stored.max(of_shard.len().saturating_sub(summary.unknown())),
        None => failed_but_stored,
    }
}

/// Those of `orders` that are not in the topic, but may have been in it: the records at the beginning of partitions are
/// deleted, and a ledger has no offsets.
fn removed(
    ledgers: &[Ledger],
    in_topic: &TopicRecords,
    beginnings: &BTreeMap<i32, i64>,
    orders: &RoaringTreemap,
) -> RoaringTreemap {
    let first_complete =
        |Ledger { run, .. }: &Ledger| (run.shard, in_topic.first_complete(run.tag, beginnings.keys().copied()));
    let shards: Vec<_> = ledgers.iter().map(first_complete).collect();
    let is_removed = |order: &u64| shards.iter().any(|(shard, complete)| shard.has(*order) && order < complete);
    (orders - &in_topic.orders.numbers).iter().filter(is_removed).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use std::ops::Range;

    use chrono::DateTime;
    use shared::{
        latency::LatencySummary,
        ledger::{Counts, Run, RunSummary, Shard, StallSummary, Verdict},
        order_id::RunTag,
    };

    use super::{
        super::{dead_letters::RunDeadLetters, recorded_numbers::RecordedNumbers, table::StoredOrders},
        *,
    };

    pub fn summary(counts: Counts) -> RunSummary {
        RunSummary {
            run_id: "r".parse().unwrap(),
            shard: Shard::SINGLE,
            resumed_at: None,
            rate_asked: None,
            rate_achieved: 1.0,
            tail_seconds: None,
            seconds: 1.0,
            stall: StallSummary::default(),
            counts,
            warm_up: Counts::default(),
            changes: None,
            errors: BTreeMap::new(),
            queue_full: 0,
            lateness_ms: LatencySummary::default(),
            acknowledgement_ms: LatencySummary::default(),
            round_trip_ms: LatencySummary::default(),
            requirements: Vec::new(),
            verdict: Verdict::Valid,
        }
    }

    pub fn ledger(journal: JournalContents, summary: Option<RunSummary>) -> Ledger {
        let run = Run {
            run_id: "r".parse().unwrap(),
            shard: Shard::SINGLE,
            tag: RunTag::random(),
            started_at: DateTime::UNIX_EPOCH,
            topic: "orders".to_owned(),
            backdated: false,
            settings: BTreeMap::new(),
        };
        Ledger { run, journal, summary }
    }

    struct Orders {
        acknowledged: Range<u64>,
        failed: Range<u64>,
        invalid: Range<u64>,
        in_topic: Range<u64>,
        dead_lettered: Range<u64>,
        stored: Range<u64>,
        unknown: Option<u64>,
        /// First offset of partition 0, of which the topic has no record.
        beginning: i64,
    }

    fn compare_orders(orders: Orders) -> AuditReport {
        compare(sources(orders))
    }

    fn sources(orders: Orders) -> AuditSources {
        let (mut in_topic, mut dead_lettered) = (TopicRecords::default(), RunDeadLetters::default());
        in_topic.orders.numbers = orders.in_topic.collect();
        orders.dead_lettered.for_each(|sequence| dead_lettered.orders.add(sequence, "unknown_user".to_owned()));
        let length = |range: &std::ops::Range<u64>| range.end - range.start;
        let (acknowledged, failed) = (length(&orders.acknowledged), length(&orders.failed));
        let invalid = length(&orders.invalid);
        let counts = |unknown| {
            let enqueued = acknowledged + failed + unknown;
            Counts { scheduled: enqueued, enqueued, acknowledged, failed, invalid, unknown, skipped: 0 }
        };
        AuditSources {
            run_id: "r".parse().unwrap(),
            ledgers: vec![ledger(
                JournalContents {
                    acknowledged: orders.acknowledged.collect(),
                    failed: orders.failed.collect(),
                    invalid: orders.invalid.collect(),
                    ..JournalContents::default()
                },
                orders.unknown.map(counts).map(summary),
            )],
            in_topic,
            recorded_later: RecordedNumbers::default(),
            beginnings: (orders.beginning > 0).then_some((0, orders.beginning)).into_iter().collect(),
            dead_lettered,
            stored: StoredOrders { sequences: orders.stored.collect(), ..StoredOrders::default() },
            latency: None,
        }
    }

    const COMPLETE: Orders = Orders {
        acknowledged: 0..100,
        failed: 0..0,
        invalid: 0..0,
        in_topic: 0..100,
        dead_lettered: 0..0,
        stored: 0..100,
        unknown: Some(0),
        beginning: 0,
    };

    #[test]
    fn a_complete_run_is_valid() {
        assert!(compare_orders(COMPLETE).is_valid());
    }

    #[test]
    fn dead_letters_are_not_missing_but_make_the_run_invalid_unless_invalid_on_purpose_or_replayed() {
        let report = compare_orders(Orders { stored: 10..100, dead_lettered: 0..10, ..COMPLETE });
        assert!(report.is_balanced() && !report.is_valid(), "{report:?}");
        assert_eq!(report.dead_letter_causes, BTreeMap::from([("unknown_user".to_owned(), 10)]));
        let report = compare_orders(Orders { stored: 10..100, dead_lettered: 0..20, invalid: 0..10, ..COMPLETE });
        assert_eq!((report.replayed, report.unexpected_dead_letters), (10, 0));
        assert!(report.is_valid() && report.dead_letter_causes.is_empty(), "{report:?}");
    }

    #[test]
    fn the_dead_letter_of_a_conflicting_order_is_no_replay_although_the_order_is_stored() {
        let (mut in_topic, mut dead_lettered) = (TopicRecords::default(), RunDeadLetters::default());
        in_topic.orders.numbers = (0..100).collect();
        dead_lettered.orders.add(7, "conflicting".to_owned());
        let mut sources = sources(COMPLETE);
        (sources.in_topic, sources.dead_lettered) = (in_topic, dead_lettered);
        let report = compare(sources);
        assert_eq!((report.conflicting, report.replayed, report.unexpected_dead_letters), (1, 0, 1));
        assert!(!report.is_balanced(), "{report:?}");
    }

    #[test]
    fn records_that_may_be_deleted_are_expired_and_not_missing() {
        let deleted = Orders { in_topic: 10..100, beginning: 7, ..COMPLETE };
        let report = compare_orders(deleted);
        assert_eq!((report.expired, report.expired_unstored, report.missing_from_topic, report.missing), (10, 0, 0, 0));
        assert!(report.is_valid() && report.topic_beginnings == BTreeMap::from([(0, 7)]), "{report:?}");
        let report = compare_orders(Orders { in_topic: 10..100, stored: 4..100, beginning: 7, ..COMPLETE });
        assert_eq!((report.expired, report.expired_unstored, report.missing_from_topic, report.missing), (10, 4, 0, 0));
        assert!(!report.is_balanced(), "{report:?}");
        // An order that is still in the topic is missing, whatever was deleted.
        let report = compare_orders(Orders { in_topic: 0..90, stored: 5..100, beginning: 7, ..COMPLETE });
        assert_eq!((report.expired, report.expired_unstored, report.missing), (10, 0, 5));
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
    fn a_stored_order_has_a_record_unless_it_was_acknowledged_or_may_be_removed() {
        let forged = |beginning| Orders { acknowledged: 5..90, in_topic: 5..90, unknown: None, beginning, ..COMPLETE };
        let report = compare_orders(forged(0));
        assert_eq!((report.without_record, report.unexpected, report.unexplained), (15, 15, 0));
        assert!(!report.is_balanced() && report.to_string().contains("without record"), "{report}");
        assert_eq!(compare_orders(Orders { unknown: Some(15), ..forged(0) }).without_record, 15);
        assert!(compare_orders(forged(7)).is_balanced(), "partition 0 may have had all of them");
        let mut running = sources(forged(0));
        running.recorded_later.orders = (90..100).chain(0..5).collect();
        assert!(compare(running).is_balanced(), "its producer goes on");
        let lost = compare_orders(Orders { in_topic: 5..100, ..COMPLETE });
        assert_eq!((lost.missing_from_topic, lost.without_record), (5, 0), "counted once");
    }

    #[test]
    fn an_order_in_the_topic_must_be_stored_even_if_its_acknowledgement_was_lost() {
        assert_eq!(
            compare_orders(Orders { acknowledged: 0..90, stored: 0..90, unknown: Some(10), ..COMPLETE }).missing,
            10
        );
    }

    #[test]
    fn a_ledger_that_contradicts_itself_is_not_balanced() {
        let without = compare(sources(COMPLETE));
        assert!(without.is_balanced() && without.ledger_contradictions.is_empty(), "{without:?}");
        let mut altered = sources(COMPLETE);
        altered.ledgers[0].summary.as_mut().unwrap().counts.acknowledged -= 1;
        let report = compare(altered);
        assert_eq!(report.ledger_contradictions[0], "summary.json counts 99 acknowledged orders, the journal has 100");
        assert!(!report.is_balanced() && report.to_string().contains("summary.json counts 99"), "{report}");
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

    #[test]
    fn a_killed_producer_explains_the_orders_of_its_own_shard_only() {
        let unexplained = |killed: &str| {
            let mut shared = sources(Orders { acknowledged: 0..98, ..COMPLETE });
            shared.ledgers.push(shared.ledgers[0].clone());
            for (ledger, shard) in shared.ledgers.iter_mut().zip("1/2".parse::<Shard>().unwrap().all()) {
                ledger.run.shard = shard;
                ledger.journal.acknowledged = (0..98).filter(|sequence| shard.has(*sequence)).collect();
                if shard.to_string() == killed {
                    ledger.summary = None;
                }
            }
            compare(shared).unexplained
        };
        // Orders 98 and 99 are stored and not acknowledged, one of each shard.
        assert_eq!((unexplained("1/2"), unexplained("2/2"), unexplained("none")), (1, 1, 2));
    }
}
