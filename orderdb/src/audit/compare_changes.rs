//! Compares the changes of a run: ledger, topic and histories.

use roaring::RoaringTreemap;
use shared::{
    ledger::{JournalContents, Ledger},
    lifecycle::ChangeNumber,
};

use super::{
    changes_report::ChangesReport, dead_letters::DeadLetters, latency::LatencyReport, records::Records,
    stored_changes::StoredChanges, topic::TopicRecords,
};

/// What topics, table and latency logs have of the changes of a run.
pub struct ChangeSources<'a> {
    pub in_topic: &'a TopicRecords,
    /// Changes whose records came after `in_topic` was read.
    pub recorded_later: &'a RoaringTreemap,
    pub dead_lettered: &'a DeadLetters,
    pub stored: StoredChanges,
    pub latency: Option<LatencyReport>,
    /// The orders that retention may have removed from the topic.
    pub removed_orders: &'a RoaringTreemap,
}

/// Counts the changes of each source, and those that one source has and another lacks. `None` for a run that has none,
/// and whose producers were not told to change orders.
pub fn compare_changes(
    ledgers: &[Ledger],
    journal: &JournalContents,
    sources: ChangeSources<'_>,
) -> Option<ChangesReport> {
    let ChangeSources { in_topic, recorded_later, dead_lettered, stored, latency, removed_orders } = sources;
    let (unreadable, in_topic) = (in_topic.unreadable_changes, &in_topic.changes);
    let acknowledged = &journal.changes_acknowledged;
    let is_expected = ledgers.iter().filter_map(|ledger| ledger.summary.as_ref()).any(|run| run.changes.is_some());
    let numbers = [acknowledged, &journal.changes_failed, &in_topic.numbers, &dead_lettered.sequences];
    if !is_expected && unreadable == 0 && stored.is_empty() && numbers.iter().all(|numbers| numbers.is_empty()) {
        return None;
    }
    let removed = removed(&(acknowledged | &stored.numbers), in_topic, removed_orders);
    let expired = acknowledged & &removed;
    let known = acknowledged | &in_topic.numbers | recorded_later | &removed;
    let missing = (acknowledged | &in_topic.numbers) - (&stored.numbers | &dead_lettered.sequences);
    let unexpected = (&stored.numbers | &in_topic.numbers) - acknowledged;
    let conflicting = &in_topic.conflicting | dead_lettered.conflicting();
    // One content of a conflicting change is not stored: its dead letter stays one.
    let replayed = (&dead_lettered.sequences & &stored.numbers) - &conflicting;
    let unexpected_dead_letters = &dead_lettered.sequences - &replayed;
    let stored_count = stored.numbers.len();
    let coverage = latency.as_ref().filter(|_| stored_count > 0);
    Some(ChangesReport {
        acknowledged: acknowledged.len(),
        failed: journal.changes_failed.len(),
        in_topic: in_topic.numbers.len(),
        topic_repeats: in_topic.repeats,
        conflicting: conflicting.len(),
        unreadable,
        stored: stored_count,
        altered: stored.altered,
        unchecked: stored.without_record,
        without_record: (&stored.numbers - &known).len(),
        holes: stored.holes,
        misplaced: stored.misplaced,
        illegal: stored.illegal,
        wrong_sample: stored.sample,
        dead_lettered: dead_lettered.sequences.len(),
        replayed: replayed.len(),
        unexpected_dead_letters: unexpected_dead_letters.len(),
        dead_letter_causes: dead_lettered.causes(&unexpected_dead_letters),
        expired: expired.len(),
        expired_unstored: missing.intersection_len(&expired),
        missing_from_topic: (acknowledged - (&in_topic.numbers | &expired)).len(),
        missing: missing.len() - missing.intersection_len(&expired),
        unexpected: unexpected.len(),
        unexplained: ledgers.iter().map(|ledger| unexplained(ledger, &unexpected)).sum(),
        latency_coverage: coverage.map(|latency| latency.total.count as f64 / stored_count as f64),
        latency_ms: latency.as_ref().map(|latency| latency.total),
        stages_ms: latency.map_or_else(Vec::new, |latency| latency.stages),
    })
}

/// Those of `changes` that are not in the topic, but may have been in it. A change is behind its order and the changes
/// before it, in the same partition: when one of these is still in the topic, it is not removed by retention.
fn removed(changes: &RoaringTreemap, in_topic: &Records, removed_orders: &RoaringTreemap) -> RoaringTreemap {
    let is_removed = |number: &u64| {
        let (order, sequence) = ChangeNumber::parts(*number);
        let earlier = (1..sequence).filter_map(|earlier| ChangeNumber::new(order, earlier));
        removed_orders.contains(order)
            && !earlier.map(ChangeNumber::get).any(|number| in_topic.numbers.contains(number))
    };
    (changes - &in_topic.numbers).iter().filter(is_removed).collect()
}

/// How many of the unexpected changes of a shard its producer reported as failed or never sent. A change of unknown
/// outcome may be in the topic. A killed producer has no record of its last second.
fn unexplained(ledger: &Ledger, unexpected: &RoaringTreemap) -> u64 {
    let of_shard = |number: &u64| ledger.run.shard.has(ChangeNumber::parts(*number).0);
    let of_shard: RoaringTreemap = unexpected.iter().filter(of_shard).collect();
    let Some(summary) = &ledger.summary else { return 0 };
    let changes = summary.changes.clone().unwrap_or_default();
    if summary.resumed_at.is_some() {
        let open = open_histories(&ledger.journal, &of_shard);
        return open.saturating_sub(changes.unknown + changes.skipped);
    }
    let failed = of_shard.intersection_len(&ledger.journal.changes_failed);
    failed.max(of_shard.len().saturating_sub(changes.unknown))
}

/// How many orders of a resumed run have an unexpected change that the resumed producer must have sent again, or counted
/// as skipped: that of the killed producer is not in the journal. It does not go on with an order without a result, and
/// a change that failed now may have been sent before. Neither does it go on after a change that failed, is unknown or
/// was skipped, so that the first one of each order counts.
fn open_histories(journal: &JournalContents, unexpected: &RoaringTreemap) -> u64 {
    let is_open = |number: &u64| {
        let (order, sequence) = ChangeNumber::parts(*number);
        let has_result = journal.acknowledged.contains(order) || journal.failed.contains(order);
        let mut earlier = (1..sequence).filter_map(|earlier| ChangeNumber::new(order, earlier));
        has_result
            && !journal.changes_failed.contains(*number)
            && !earlier.any(|number| unexpected.contains(number.get()))
    };
    unexpected.iter().filter(is_open).count() as u64
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, ops::Range};

    use chrono::{DateTime, Utc};
    use shared::ledger::{ChangesSummary, Counts, RunSummary};

    use super::{
        super::{
            compare::tests::{ledger, summary},
            digest::Digester,
        },
        *,
    };

    /// The changes of ten orders, by their numbers in the histories: those of each source.
    struct Changes {
        acknowledged_orders: Range<u64>,
        acknowledged: Range<i32>,
        failed: Range<i32>,
        in_topic: Range<i32>,
        stored: Range<i32>,
        dead_lettered: Range<i32>,
        recorded_later: Range<i32>,
        /// What the summary of the producer counts, if there is one.
        unknown: Option<u64>,
        skipped: u64,
        resumed_at: Option<DateTime<Utc>>,
        removed_orders: u64,
    }

    const NONE: Range<i32> = 0..0;
    const COMPLETE: Changes = Changes {
        acknowledged_orders: 0..10,
        acknowledged: 1..4,
        failed: NONE,
        in_topic: 1..4,
        stored: 1..4,
        dead_lettered: NONE,
        recorded_later: NONE,
        unknown: Some(0),
        skipped: 0,
        resumed_at: None,
        removed_orders: 0,
    };

    fn numbers(sequences: Range<i32>) -> RoaringTreemap {
        let of_order = |order| sequences.clone().map(move |sequence| ChangeNumber::new(order, sequence).unwrap().get());
        (0..10).flat_map(of_order).collect()
    }

    fn run(unknown: u64, skipped: u64, resumed_at: Option<DateTime<Utc>>) -> RunSummary {
        let changes = Some(ChangesSummary { unknown, skipped, ..ChangesSummary::default() });
        RunSummary { changes, resumed_at, ..summary(Counts::default()) }
    }

    fn report(changes: Changes) -> Option<ChangesReport> {
        let (mut in_topic, mut dead_lettered, digester) =
            (TopicRecords::default(), DeadLetters::default(), Digester::default());
        numbers(changes.in_topic).iter().for_each(|number| in_topic.changes.add(number, 0, digester.digest(&number)));
        numbers(changes.dead_lettered).iter().for_each(|number| dead_lettered.add(number, "unknown_order".to_owned()));
        let journal = JournalContents {
            acknowledged: changes.acknowledged_orders.collect(),
            changes_acknowledged: numbers(changes.acknowledged),
            changes_failed: numbers(changes.failed),
            ..JournalContents::default()
        };
        let run = changes.unknown.map(|unknown| run(unknown, changes.skipped, changes.resumed_at));
        let ledgers = [ledger(journal.clone(), run)];
        let sources = ChangeSources {
            in_topic: &in_topic,
            recorded_later: &numbers(changes.recorded_later),
            dead_lettered: &dead_lettered,
            stored: StoredChanges { numbers: numbers(changes.stored), ..StoredChanges::default() },
            latency: None,
            removed_orders: &(0..changes.removed_orders).collect(),
        };
        compare_changes(&ledgers, &journal, sources)
    }

    fn compare(changes: Changes) -> ChangesReport {
        report(changes).unwrap()
    }

    #[test]
    fn changes_that_are_everywhere_are_balanced_and_a_run_without_any_has_no_report() {
        let complete = compare(COMPLETE);
        assert!(complete.is_balanced() && complete.unexpected_dead_letters == 0, "{complete:?}");
        let none = || Changes { acknowledged: NONE, in_topic: NONE, stored: NONE, ..COMPLETE };
        assert!(report(Changes { unknown: None, ..none() }).is_none());
        assert_eq!(report(none()).unwrap().acknowledged, 0, "its producer changes orders, but there was no time");
    }

    #[test]
    fn a_lost_change_is_attributed_to_brokers_or_consumers() {
        let by_consumers = compare(Changes { stored: 1..3, ..COMPLETE });
        assert_eq!((by_consumers.missing, by_consumers.missing_from_topic), (10, 0));
        let by_brokers = compare(Changes { in_topic: 1..3, stored: 1..3, ..COMPLETE });
        assert_eq!((by_brokers.missing, by_brokers.missing_from_topic), (10, 10));
        assert!(!by_consumers.is_balanced() && !by_brokers.is_balanced());
    }

    #[test]
    fn a_change_in_the_topic_or_stored_that_was_not_acknowledged_must_have_an_unknown_outcome() {
        let unexplained = |changes: Changes| {
            let report = compare(changes);
            assert_eq!(report.unexpected, 10);
            report.unexplained
        };
        let more = || Changes { acknowledged: 1..3, ..COMPLETE };
        assert_eq!(unexplained(Changes { unknown: Some(10), ..more() }), 0);
        assert_eq!(unexplained(Changes { unknown: Some(3), ..more() }), 7);
        assert_eq!(unexplained(Changes { unknown: None, ..more() }), 0, "a killed producer");
        assert_eq!(unexplained(Changes { failed: 3..4, unknown: Some(10), ..more() }), 10);
        assert_eq!(unexplained(Changes { stored: 1..3, ..more() }), 10, "only in the topic");
        assert_eq!(unexplained(Changes { in_topic: 1..3, ..more() }), 10, "only stored");
    }

    #[test]
    fn the_last_second_of_a_killed_producer_is_explained_after_it_was_resumed() {
        let unexplained = |changes: Changes| {
            let report = compare(Changes { resumed_at: Some(DateTime::UNIX_EPOCH), ..changes });
            assert_eq!(report.unexpected, 20);
            report.unexplained
        };
        let more = || Changes { acknowledged: 1..2, ..COMPLETE };
        assert_eq!(unexplained(more()), 10, "not sent again: the first one of each order counts");
        assert_eq!(unexplained(Changes { acknowledged_orders: 4..10, ..more() }), 6, "orders without a result");
        assert_eq!(unexplained(Changes { failed: 2..3, ..more() }), 0, "sent again, and failed");
        assert_eq!(unexplained(Changes { failed: 3..4, ..more() }), 10, "a later one failed");
        assert_eq!(unexplained(Changes { unknown: Some(3), skipped: 5, ..more() }), 2);
        assert_eq!(unexplained(Changes { failed: 2..3, unknown: None, ..more() }), 0, "killed again");
        let strict = compare(Changes { acknowledged_orders: 4..10, skipped: 20, failed: 2..3, ..more() });
        assert_eq!(strict.unexplained, 20, "a run that was not resumed");
    }

    #[test]
    fn a_stored_change_has_a_record_unless_it_was_acknowledged_or_may_be_removed() {
        let forged = || Changes { acknowledged: 1..3, in_topic: 1..3, unknown: None, ..COMPLETE };
        let without_record = |changes: Changes| {
            let report = compare(changes);
            assert_eq!(report.is_balanced(), report.without_record == 0, "{report:?}");
            report.without_record
        };
        assert_eq!(without_record(forged()), 10, "a killed producer");
        assert_eq!(without_record(Changes { unknown: Some(10), ..forged() }), 10, "an unknown outcome");
        assert_eq!(without_record(Changes { recorded_later: 3..4, ..forged() }), 0, "a producer that is running");
        assert_eq!(without_record(Changes { removed_orders: 10, ..forged() }), 10, "behind others in the topic");
        assert_eq!(without_record(Changes { in_topic: NONE, removed_orders: 10, ..forged() }), 0);
        let lost = compare(Changes { in_topic: 1..3, ..COMPLETE });
        assert_eq!((lost.missing_from_topic, lost.without_record), (10, 0), "counted once");
    }

    #[test]
    fn dead_letters_of_changes_are_unexpected_until_they_are_replayed() {
        let waiting = compare(Changes { stored: 1..3, dead_lettered: 3..4, ..COMPLETE });
        assert_eq!((waiting.unexpected_dead_letters, waiting.missing, waiting.is_balanced()), (10, 0, true));
        assert_eq!(waiting.dead_letter_causes, BTreeMap::from([("unknown_order".to_owned(), 10)]));
        let replayed = compare(Changes { dead_lettered: 3..4, ..COMPLETE });
        assert_eq!((replayed.replayed, replayed.unexpected_dead_letters), (10, 0));
    }

    #[test]
    fn a_change_is_expired_only_if_neither_its_order_nor_an_earlier_change_is_in_the_topic() {
        let removed = compare(Changes { in_topic: NONE, removed_orders: 4, ..COMPLETE });
        assert_eq!((removed.expired, removed.expired_unstored, removed.missing_from_topic), (12, 0, 18));
        let removed = compare(Changes { in_topic: 2..4, stored: 2..4, removed_orders: 4, ..COMPLETE });
        assert_eq!((removed.expired, removed.expired_unstored, removed.missing), (4, 4, 6));
        let behind_others = compare(Changes { in_topic: 1..3, removed_orders: 10, ..COMPLETE });
        assert_eq!((behind_others.expired, behind_others.missing_from_topic), (0, 10));
    }
}
