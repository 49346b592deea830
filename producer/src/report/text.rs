//! Prints the summary of a run, and the ledger entries that could not be saved.

use std::fmt::Write;

use roaring::RoaringTreemap;
use shared::{
    ledger::{JournalContents, RunSummary, Shard},
    report::Report,
};

/// The summary as a table for the terminal.
pub fn table(summary: &RunSummary) -> Report {
    let shard = match summary.shard {
        Shard::SINGLE => String::new(),
        shard => format!(", shard {shard}"),
    };
    let mut report = Report::about("run", &format!("{}{shard}", summary.run_id));
    let comparison = match summary.rate_asked {
        Some(target) => format!("target {target}/s, {:+.3} %", (summary.rate_achieved / target - 1.0) * 100.0),
        None => "no target rate".to_owned(),
    };
    report.line("rate achieved", format!("{:.2}/s", summary.rate_achieved), comparison);
    add_counts(&mut report, summary);
    if !summary.errors.is_empty() {
        let errors: Vec<String> = summary.errors.iter().map(|(name, count)| format!("{name} {count}")).collect();
        report.line("errors", summary.errors.values().sum::<u64>(), errors.join(", "));
    }
    report.line("queue full", summary.queue_full, "times, the client's queue");
    report.line("verdict", summary.verdict, "");
    report.latency("due to sent", &summary.lateness_ms);
    report.latency("due to acknowledged", &summary.acknowledgement_ms);
    report.latency("sent to acknowledged", &summary.round_trip_ms);
    report
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

/// The sequences of each outcome as ranges, one line per outcome: `acknowledged 0-41,43`.
pub fn sequence_ranges(contents: &JournalContents) -> String {
    let outcomes =
        [("acknowledged", &contents.acknowledged), ("failed", &contents.failed), ("invalid", &contents.invalid)];
    let lines = outcomes.iter().filter(|(_, sequences)| !sequences.is_empty());
    lines.map(|(outcome, sequences)| format!("{outcome} {}", ranges(sequences))).collect::<Vec<_>>().join("\n")
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
        ledger::{Counts, Verdict},
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
            rate_asked: Some(1_000.0),
            rate_achieved: 999.87,
            seconds: 60.1,
            counts: Counts { unknown: 2, invalid: 60, ..counts },
            warm_up: counts,
            errors: [("MessageTimedOut".to_owned(), 1), ("NotEnoughReplicasAfterAppend".to_owned(), 1)].into(),
            queue_full: 7,
            lateness_ms: latency,
            acknowledgement_ms: latency,
            round_trip_ms: latency,
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
        assert_eq!(cells("acknowledged ")[1..3], ["acknowledged", "59998"]);
    }

    #[test]
    fn unsaved_sequences_are_printed_as_ranges() {
        let contents = JournalContents {
            acknowledged: (0..42).chain(43..44).chain(50..52).collect(),
            invalid: [7].into_iter().collect(),
            ..JournalContents::default()
        };
        assert_eq!(sequence_ranges(&contents), "acknowledged 0-41,43,50-51\ninvalid 7");
    }
}
