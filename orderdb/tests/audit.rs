//! `orderdb audit` of changes: what it finds in ledger, topic and histories, and how it says so.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use orderdb::audit::{
    recorded_numbers::{RecordedNumbers, read_numbers},
    report::{AuditReport, ChangesReport},
};
use shared::{
    latency::{Latencies, LatencyLog, run_series},
    ledger::ChangesSummary,
    lifecycle::{ChangeNumber, OrderStatus},
};

use crate::{
    audited_run::{AuditedRun, CHANGES, ORDERS},
    program::run,
};

/// An order, what is done to its rows, the counts that are not 0 then, and what is said of its history. Order 3 has
/// three changes, order 2 two and order 0 none.
type Damage = (u64, &'static str, &'static [(&'static str, u64)], &'static str);

const DAMAGES: &[Damage] = &[
    (
        3,
        "UPDATE orders SET status = 'processing', status_sequence = 2 WHERE ID",
        &[("out of place", 1)],
        "orders has 2 processing, the history ends with 3 shipped",
    ),
    (
        3,
        "UPDATE orders SET status_sequence = 4 WHERE ID",
        &[("out of place", 1)],
        "orders has 4 shipped, the history ends with 3 shipped",
    ),
    (3, "DELETE FROM order_events WHERE ID AND sequence = 2", &[("missing", 1), ("holes", 1)], "number 2 is missing"),
    (
        3,
        "DELETE FROM order_events WHERE ID AND sequence = 3; \
             UPDATE orders SET status = 'processing', status_sequence = 2 WHERE ID",
        &[("missing", 1)],
        "",
    ),
    (
        3,
        "DELETE FROM order_events WHERE ID; \
             UPDATE orders SET status = 'payment_pending', status_sequence = 0 WHERE ID",
        &[("missing", 3)],
        "",
    ),
    (
        3,
        "UPDATE order_events e SET status = o.status, reason = o.reason, occurred_at = o.occurred_at \
             FROM kept_events o WHERE e.order_id = o.order_id AND e.ID AND e.sequence IN (1, 2) \
             AND o.sequence = 3 - e.sequence",
        &[("altered", 2), ("illegal", 1)],
        "number 1 differs from its record; number 2 differs from its record; processing follows payment_pending",
    ),
    (
        2,
        "UPDATE order_events SET reason = 'cash' WHERE ID AND sequence = 1",
        &[("altered", 1)],
        "number 1 differs from its record",
    ),
    (
        2,
        "UPDATE order_events SET occurred_at = occurred_at + interval '1 us' WHERE ID AND sequence = 2",
        &[("altered", 1)],
        "number 2 differs from its record",
    ),
    (
        2,
        "UPDATE order_events SET occurred_at = 'infinity' WHERE ID AND sequence = 2",
        &[("altered", 1)],
        "number 2 differs from its record",
    ),
    (
        2,
        "UPDATE order_events SET status = 'shiped' WHERE ID AND sequence = 2; \
             UPDATE orders SET status = 'shiped' WHERE ID",
        &[("altered", 1), ("illegal", 1)],
        "number 2 differs from its record; shiped follows paid",
    ),
    (
        2,
        "UPDATE order_events SET occurred_at = now() WHERE ID AND sequence = 0",
        &[("altered", 1)],
        "number 0 is not as the order was placed",
    ),
    (
        2,
        "UPDATE order_events SET status = 'cancelled' WHERE ID AND sequence = 0",
        &[("orders altered", 1), ("illegal", 1)],
        "paid follows cancelled",
    ),
    (
        2,
        "DELETE FROM order_events WHERE ID AND sequence = 0",
        &[("orders altered", 1), ("holes", 1)],
        "number 0 is missing",
    ),
    (
        2,
        "INSERT INTO order_events SELECT order_id, 3, 'shipped', '', now() FROM orders WHERE ID; \
             UPDATE orders SET status = 'shipped', status_sequence = 3 WHERE ID",
        &[("without record", 1), ("unexplained", 1)],
        "",
    ),
    (
        2,
        "INSERT INTO orders SELECT (jsonb_populate_record(o, \
             jsonb_build_object('order_id', left(order_id, 34) || 'ff', 'status_sequence', 0))).* FROM orders o WHERE ID",
        &[("orders without record", 1), ("orders unexplained", 1)],
        "",
    ),
    (
        2,
        "INSERT INTO order_events SELECT order_id, 9, 'shipped', '', now() FROM orders WHERE ID; \
             UPDATE orders SET status = 'shipped', status_sequence = 9 WHERE ID",
        &[("altered", 1), ("holes", 1), ("illegal", 1)],
        "number 9 differs from its record",
    ),
    (0, "UPDATE orders SET status = 'paid' WHERE ID", &[("orders altered", 1)], ""),
    (
        0,
        "UPDATE orders SET status_sequence = 1 WHERE ID",
        &[("out of place", 1)],
        "orders has 1 payment_pending, the history has no row",
    ),
    (3, "DELETE FROM orders WHERE ID", &[("orders missing", 1), ("missing", 3)], ""),
];

/// What a test expects of the counts that must be 0: those that are not, by their names.
fn wrong(report: &AuditReport, changes: &ChangesReport) -> Vec<(&'static str, u64)> {
    let of_orders = [
        ("orders missing", report.missing),
        ("orders altered", report.altered),
        ("orders without record", report.without_record),
        ("orders unexplained", report.unexplained),
    ];
    let of_changes = changes.imbalances().map(|(name, number, _)| (name, number));
    let wrong = of_orders.into_iter().chain(of_changes).filter(|(_, number)| *number > 0).collect::<Vec<_>>();
    assert_eq!(report.is_balanced(), wrong.is_empty(), "{report:?}");
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_compared_with_the_status_that_they_were_placed_with() {
    let run = AuditedRun::complete("audit_changes").await;
    let report = run.audit().await;
    let changes = report.changes.clone().unwrap();
    assert!(report.is_valid(), "{report}");
    assert_eq!((report.stored, report.unchecked, changes.unchecked), (ORDERS, 0, 0));
    let counts = [changes.acknowledged, changes.in_topic, changes.stored];
    assert_eq!((counts, changes.topic_repeats, changes.unexpected), ([CHANGES; 3], 0, 0));
    let printed = crate::program::run(&run.bed, &["audit", "changed"]).await;
    let stored = printed.stdout.lines().find(|line| line.contains("changes stored")).unwrap().contains("60");
    assert!(printed.code == Some(0) && stored && printed.stdout.contains("balanced"), "{}", printed.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_wrong_row_of_a_history_is_found_and_named() {
    let run = AuditedRun::complete("audit_mutants").await;
    for (n, damage, expected, named) in DAMAGES {
        let (report, changes) = run.audit_after(*n, damage).await;
        assert_eq!(wrong(&report, &changes), *expected, "{damage}: {report}");
        let names: Vec<String> = changes.wrong_sample.iter().map(|wrong| wrong.defects.join("; ")).collect();
        let is_named = if named.is_empty() { names.is_empty() } else { names.len() == 1 && names[0].contains(named) };
        assert!(is_named, "{damage}: {names:?}");
        let ids: Vec<&str> = changes.wrong_sample.iter().map(|wrong| wrong.order_id.as_str()).collect();
        assert!(ids.iter().all(|id| *id == run.id(*n)) && !report.is_valid(), "{ids:?}");
    }
    assert!(run.audit().await.is_valid(), "the rows are restored");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_no_producer_sent_is_found_in_the_run_of_a_killed_one_too() {
    let run = AuditedRun::complete("audit_forged").await;
    run.remove_summary();
    for (n, damage, expected, _) in DAMAGES.iter().filter(|damage| damage.1.contains("INSERT INTO order")) {
        let (report, changes) = run.audit_after(*n, damage).await;
        let expected: Vec<_> = expected.iter().filter(|(name, _)| !name.contains("unexplained")).copied().collect();
        assert_eq!(wrong(&report, &changes), expected, "{damage}: {report}");
    }
    let report = run.audit().await;
    assert!(report.is_balanced() && !report.finished, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_come_while_the_table_is_read_are_found_by_their_numbers() {
    let audited = AuditedRun::complete("audit_later").await;
    audited.send_value(0, b"{}", Utc::now()).await;
    let (kafka, topic, tag) = (audited.bed.kafka.clone(), audited.bed.topic.topic.clone(), audited.tag);
    let from = Utc::now() - TimeDelta::hours(1);
    let reading = tokio::task::spawn_blocking(move || read_numbers(&kafka, &topic, &[tag], from));
    let RecordedNumbers { orders, changes } = reading.await.unwrap().unwrap();
    assert_eq!((orders.len(), orders.max(), changes.len()), (ORDERS, Some(ORDERS - 1), CHANGES));
    let last = ChangeNumber::new(ORDERS - 1, 3).unwrap();
    assert_eq!(changes.max(), Some(last.get()));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_the_ledger_does_not_have_and_other_contents_are_found_in_the_topic() {
    let audited = AuditedRun::complete("audit_records").await;
    // A retry, whose content is the same.
    audited.send_change(3, &audited.change(3, 1)).await;
    let report = audited.audit().await;
    assert!(report.is_valid() && report.changes.as_ref().unwrap().topic_repeats == 1, "{report}");
    let other_run = AuditedRun::new("audit_beside", None).await;
    other_run.send_change(0, &other_run.change(0, 1)).await;
    let mut sent = audited.change(0, 1);
    audited.send_change(0, &sent).await;
    let report = audited.audit().await;
    let changes = report.changes.clone().unwrap();
    assert_eq!(wrong(&report, &changes), [("missing", 1), ("unexplained", 1)], "{report}");
    assert_eq!(changes.unexpected, 1);
    sent.status = OrderStatus::Cancelled;
    audited.send_change(0, &sent).await;
    audited.send_value(0, b"{}", sent.occurred_at).await;
    sent.sequence = 6;
    audited.send_change(0, &sent).await;
    let report = audited.audit().await;
    let changes = report.changes.clone().unwrap();
    let expected = [("missing", 1), ("conflicting", 1), ("unreadable", 2), ("unexplained", 1)];
    assert_eq!(wrong(&report, &changes), expected, "{report}");
    assert_eq!((report.conflicting, report.topic_repeats), (0, 0), "they are no orders");
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_of_changes_are_counted_apart_from_those_of_orders() {
    let audited = AuditedRun::complete("audit_dead").await;
    let waiting = audited.change(3, 3);
    audited.dead_letter(3, &waiting, "unknown_order").await;
    audited.dead_letter(2, &audited.change(2, 2), "illegal_transition").await;
    let last = "DELETE FROM order_events WHERE ID AND sequence = 3; \
                UPDATE orders SET status = 'processing', status_sequence = 2 WHERE ID";
    let (report, changes) = audited.audit_after(3, last).await;
    assert!(report.is_balanced() && !report.is_valid(), "{report}");
    audited.dead_letter(7, &audited.change(7, 2), "unknown_order").await;
    let middle = "DELETE FROM order_events WHERE ID AND sequence = 2";
    let (with_gap, _) = audited.audit_after(7, middle).await;
    assert!(with_gap.is_balanced() && !with_gap.is_valid(), "a replay fills the gap: {with_gap}");
    assert_eq!((report.dead_lettered, changes.dead_lettered, changes.replayed), (0, 2, 1));
    assert_eq!(changes.dead_letter_causes.iter().collect::<Vec<_>>(), [(&"unknown_order".to_owned(), &1)]);
    assert!(audited.audit().await.is_valid(), "it is stored now: replayed");
    audited.dead_letter(3, &waiting, "conflicting").await;
    let report = audited.audit().await;
    let changes = report.changes.clone().unwrap();
    assert_eq!((changes.conflicting, changes.unexpected_dead_letters), (1, 1), "{report}");
    let printed = run(&audited.bed, &["audit", "changed"]).await;
    assert!(printed.code == Some(3) && printed.stdout.contains("changes unexpected dead"), "{}", printed.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_a_summary_does_not_count_contradict_the_ledger() {
    let report = AuditedRun::new("audit_uncounted", Some(ChangesSummary::default())).await.audit().await;
    assert!(!report.is_balanced() && report.ledger_contradictions[0].contains("0 acknowledged changes"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_latency_of_changes_is_apart_from_that_of_orders() {
    let audited = AuditedRun::complete("audit_latency").await;
    let stats_dir = audited.bed.folder().join("stats");
    let mut log = LatencyLog::open(&stats_dir, "consumer-1").unwrap();
    for (series, milliseconds, number) in [("due_to_commit", 5, ORDERS), ("change_due_to_commit", 7, CHANGES / 2)] {
        let mut latencies = Latencies::up_to(Duration::from_secs(1));
        (0..number).for_each(|_| latencies.record_nanos(milliseconds * 1_000_000));
        log.append(&run_series(series, audited.tag), Duration::from_secs(1), &latencies).unwrap();
    }
    let report = audited.audit_with(Some(stats_dir)).await;
    let changes = report.changes.as_ref().unwrap();
    assert_eq!((report.latency_coverage, changes.latency_coverage), (Some(1.0), Some(0.5)));
    let (of_orders, of_changes) = (report.latency_ms.unwrap().p50, changes.latency_ms.unwrap().p50);
    assert!((4.9..5.1).contains(&of_orders) && (6.9..7.1).contains(&of_changes), "{report}");
    assert!(report.to_string().contains("change due to stored (50.00 % of"), "{report}");
}
