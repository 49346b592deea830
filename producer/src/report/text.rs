//! Prints the summary of a run, and the ledger entries that could not be saved.

use std::fmt::Write;

use roaring::RoaringTreemap;
use shared::{
    ledger::{ChangesSummary, Counts, JournalContents, RunSummary, Shard},
    lifecycle::{ChangeNumber, MAX_CHANGES},
    report::Report,
};

/// The summary as a table for the terminal.
pub fn table(summary: &RunSummary) -> Report {
    let shard = match summary.shard {
        Shard::SINGLE => String::new(),
        shard => format!(", shard {shard}"),
    };
    let mut report = Report::about("run", &format!("{}{shard}", summary.run_id));
    if let Some(resumed_at) = summary.resumed_at {
        let time = resumed_at.format("%H:%M:%SZ").to_string();
        report.line("resumed at", time, "latencies, stall, errors and queue full since then");
    }
    let comparison = match summary.rate_asked {
        Some(target) => format!("target {target}/s, {:+.3} %", (summary.rate_achieved / target - 1.0) * 100.0),
        None => "no target rate".to_owned(),
    };
    report.line("rate achieved", format!("{:.2}/s", summary.rate_achieved), comparison);
    report.tail(summary.tail_seconds);
    add_counts(&mut report, summary);
    summary.changes.iter().for_each(|changes| add_changes(&mut report, changes));
    if !summary.errors.is_empty() {
        let errors: Vec<String> = summary.errors.iter().map(|(name, count)| format!("{name} {count}")).collect();
        report.line("errors", summary.errors.values().sum::<u64>(), errors.join(", "));
    }
    report.line("queue full", summary.queue_full, "times, the client's queue");
    report.stall(&summary.stall);
    summary.requirements.iter().for_each(|result| report.requirement(result));
    report.line("verdict", summary.verdict, "");
    report.latency("due to sent", &summary.lateness_ms);
    report.latency("due to acknowledged", &summary.acknowledgement_ms);
    report.latency("sent to acknowledged", &summary.round_trip_ms);
    if let Some(changes) = &summary.changes {
        report.latency("change, due to sent", &changes.lateness_ms);
        report.latency("change, due to acknowledged", &changes.acknowledgement_ms);
    }
    left_out(&summary.counts).iter().for_each(|orders| report.note(orders));
    report
}

/// The orders that the percentiles leave out, as lines below the latencies.
pub fn left_out(counts: &Counts) -> Vec<String> {
    let unacknowledged = counts.failed + counts.unknown;
    let skipped = (counts.skipped, "skipped orders are in none of the percentiles");
    let unacknowledged = (unacknowledged, "orders without an acknowledgement are not in the percentiles of it");
    [skipped, unacknowledged]
        .iter()
        .filter(|(orders, _)| *orders > 0)
        .map(|(n, which)| format!("{n} {which}"))
        .collect()
}

fn add_counts(report: &mut Report, summary: &RunSummary) {
    let (counts, warm_up) = (summary.counts, summary.warm_up);
    let with_warm_up = |meaning: &str, orders: u64| match orders {
        0 => meaning.to_owned(),
        orders => format!("{meaning}, and {orders} of the warm-up"),
    };
    report.line("scheduled", counts.scheduled, format!("in {:.1} s", summary.seconds));
    report.line("skipped", counts.skipped, if counts.skipped > 0 { "further behind than --catch-up" } else { "" });
    if counts.invalid > 0 {
        report.line("invalid", counts.invalid, "on purpose: each must become a dead letter");
    }
    let acknowledged = with_warm_up("by the brokers, all in-sync replicas", warm_up.acknowledged);
    report.line("acknowledged", counts.acknowledged, acknowledged);
    report.line("failed", counts.failed, with_warm_up("certainly not in the log", warm_up.failed));
    report.line("unknown", counts.unknown, with_warm_up("may be in the log", warm_up.unknown));
}

fn add_changes(report: &mut Report, changes: &ChangesSummary) {
    let scheduled = format!("acknowledged, of {} sent or skipped", changes.scheduled);
    report.line("changes", changes.acknowledged, scheduled);
    for (status, count) in &changes.by_status {
        report.line(&format!("– {status}"), count, "");
    }
    for (outcome, count, meaning) in [
        ("– skipped", changes.skipped, "never sent: too many were pending, or the run ended"),
        ("– failed", changes.failed, "certainly not in the log"),
        ("– unknown", changes.unknown, "may be in the log"),
    ] {
        if count > 0 {
            report.line(outcome, count, meaning);
        }
    }
}

/// The sequences of each outcome as ranges: `acknowledged 0-41,43; invalid 7`. Changes are written
/// as the orders that have one of this sequence: `acknowledged changes 1: 0-41,43; acknowledged changes 2: 0-40`.
pub fn sequence_ranges(contents: &JournalContents) -> String {
    let JournalContents { acknowledged, failed, invalid, changes_acknowledged, changes_failed } = contents;
    let of_orders = [("acknowledged", acknowledged), ("failed", failed), ("invalid", invalid)];
    let of_changes = [("acknowledged changes", changes_acknowledged), ("failed changes", changes_failed)];
    let of_orders = of_orders.map(|(outcome, numbers)| (outcome.to_owned(), numbers.clone()));
    let of_changes = of_changes.into_iter().flat_map(|(outcome, numbers)| {
        by_sequence(numbers).map(move |(sequence, orders)| (format!("{outcome} {sequence}:"), orders))
    });
    let outcomes = of_orders.into_iter().chain(of_changes).filter(|(_, numbers)| !numbers.is_empty());
    outcomes.map(|(outcome, numbers)| format!("{outcome} {}", ranges(&numbers))).collect::<Vec<_>>().join("; ")
}

/// The orders that have a change of each sequence.
fn by_sequence(changes: &RoaringTreemap) -> impl Iterator<Item = (u8, RoaringTreemap)> {
    let of = |sequence| changes.iter().map(ChangeNumber::parts).filter(move |parts| parts.1 == i32::from(sequence));
    (1..=MAX_CHANGES).map(move |sequence| (sequence, of(sequence).map(|(order, _)| order).collect()))
}

fn ranges(sequences: &RoaringTreemap) -> String {
    let mut text = String::new();
    let mut rest = sequences.iter().peekable();
    while let Some(first) = rest.next() {
        let mut last = first;
        while let Some(next) = rest.next_if_eq(&(last + 1)) {
            last = next;
        }
        let comma = if text.is_empty() { "" } else { "," };
        let written = if last > first { write!(text, "{comma}{first}-{last}") } else { write!(text, "{comma}{first}") };
        written.expect("writing to a String can't fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use shared::{
        latency::LatencySummary,
        ledger::{StallSummary, Verdict},
        lifecycle::OrderStatus,
        requirement::Requirement,
    };

    use super::*;

    #[test]
    fn the_summary_fits_80_columns_with_the_percentiles_in_columns() {
        let counts = Counts { scheduled: 60_000, enqueued: 60_000, acknowledged: 59_998, ..Counts::default() };
        let latency =
            LatencySummary { p50: 0.077, p90: 1.207, p99: 23.5, p999: 101.25, max: 12_345.678, ..Default::default() };
        let summary = RunSummary {
            run_id: "20261121-075223-e1f74c".parse().unwrap(),
            shard: "2/4".parse().unwrap(),
            resumed_at: Some(chrono::DateTime::UNIX_EPOCH),
            rate_asked: Some(1_000.0),
            rate_achieved: 999.87,
            tail_seconds: Some(0.0042),
            seconds: 60.1,
            stall: StallSummary { seconds: 12.0341, start_seconds: 14.0, orders_due: Some(12_034) },
            counts: Counts { unknown: 2, invalid: 60, skipped: 1_234_567, ..counts },
            warm_up: counts,
            changes: Some(ChangesSummary {
                scheduled: 123_456_789,
                acknowledged: 123_456_780,
                skipped: 7,
                failed: 1,
                unknown: 1,
                by_status: OrderStatus::ALL.map(|status| (status, 12_345_678)).into(),
                lateness_ms: latency,
                acknowledgement_ms: latency,
                ..ChangesSummary::default()
            }),
            errors: [("MessageTimedOut".to_owned(), 1), ("NotEnoughReplicasAfterAppend".to_owned(), 1)].into(),
            queue_full: 7,
            lateness_ms: latency,
            acknowledgement_ms: latency,
            round_trip_ms: latency,
            requirements: vec!["ack p99 < 50ms".parse::<Requirement>().unwrap().check(Some(61.2))],
            verdict: Verdict::Lossy,
        };
        let text = table(&summary).to_string();
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let cells = |name: &str| {
            let line = text.lines().find(|line| line.contains(name)).unwrap();
            line.split(['│', '┆']).map(|cell| cell.trim().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(cells("latency")[2..7], ["p50", "p90", "p99", "p99.9", "max"]);
        for name in ["due to sent", "due to acknowledged", "sent to acknowledged"] {
            assert_eq!(cells(name)[2..7], ["0.077", "1.207", "23.500", "101.250", "12345.678"], "{text}");
        }
        assert_eq!(cells("│ acknowledged ")[1..3], ["acknowledged", "59998"]);
        assert_eq!(cells("changes ")[1..3], ["changes", "123456780"]);
        assert_eq!(cells("– payment_failed")[1..3], ["– payment_failed", "12345678"]);
        assert_eq!(cells("– skipped")[1..3], ["– skipped", "7"]);
        let lines: Vec<&str> = text.lines().rev().take(2).collect();
        assert_eq!(lines[1], "1234567 skipped orders are in none of the percentiles");
        assert_eq!(lines[0], "2 orders without an acknowledgement are not in the percentiles of it");
        assert_eq!(cells("resumed at")[1..3], ["resumed at", "00:00:00Z"]);
        assert_eq!(cells("tail ")[1..3], ["tail", "0.004 s"]);
        assert_eq!(cells("requirement ")[1..3], ["requirement", "NOT MET"]);
        assert!(text.contains("ack p99 < 50ms: measured") && text.contains("61.200 ms"), "{text}");
        assert_eq!(cells("stall ")[1..3], ["stall", "12.034 s"]);
        assert!(text.contains("acknowledgement, 12034"), "{text}");
    }

    #[test]
    fn unsaved_sequences_are_printed_as_ranges() {
        let changes = |changes: &[(u64, i32)]| {
            let number = |(order, sequence): &(u64, i32)| ChangeNumber::new(*order, *sequence).unwrap().get();
            changes.iter().map(number).collect()
        };
        let contents = JournalContents {
            acknowledged: (0..42).chain(43..44).chain(50..52).collect(),
            invalid: [7].into_iter().collect(),
            changes_acknowledged: changes(&[(6, 1), (7, 1), (7, 2), (8, 1), (10, 1)]),
            changes_failed: changes(&[(6, 2), (8, 5)]),
            ..JournalContents::default()
        };
        let expected = "acknowledged 0-41,43,50-51; invalid 7; acknowledged changes 1: 6-8,10; \
            acknowledged changes 2: 7; failed changes 2: 6; failed changes 5: 8";
        assert_eq!(sequence_ranges(&contents), expected);
    }
}
