//! What a run prints at its end.

use std::path::Path;

use orderdb::audit::report::coverage_note;
use producer::report::text::left_out;
use serde::Serialize;
use shared::{
    ledger::{Counts, StallSummary},
    report::Report,
    requirement::RequirementResult,
};

use crate::{
    fault::FaultRecord,
    report::model::{RunCounts, RunReport, RunVerdict, StageLatencies},
};

/// The part of a report that is printed as JSON. The whole of it is in the folder.
#[derive(Serialize)]
pub struct Overview<'a> {
    run_id: &'a str,
    /// Folder of the run, with `report.html` and `report.json`.
    folder: &'a Path,
    scenario: &'a str,
    interrupted: bool,
    verdict: &'a RunVerdict,
    counts: &'a RunCounts,
    requirements: &'a [RequirementResult],
    latencies: Vec<StageOverview<'a>>,
    faults: &'a [FaultRecord],
}

#[derive(Serialize)]
struct StageOverview<'a> {
    stage: &'a str,
    #[serde(flatten)]
    summary: &'a shared::latency::LatencySummary,
}

pub fn overview<'a>(report: &'a RunReport, folder: &'a Path) -> Overview<'a> {
    let stage = |latencies: &'a StageLatencies| StageOverview { stage: &latencies.stage, summary: &latencies.summary };
    Overview {
        run_id: &report.run_id,
        folder,
        scenario: &report.scenario.name,
        interrupted: report.interrupted,
        verdict: &report.verdict,
        counts: &report.counts,
        requirements: &report.requirements,
        latencies: report.latencies.iter().map(stage).collect(),
        faults: &report.faults,
    }
}

/// The summary as tables for the terminal.
pub fn table(report: &RunReport) -> Report {
    let RunCounts { scheduled, skipped, acknowledged, failed, unknown, stored, .. } = report.counts;
    let mut table = Report::about(&report.scenario.name, &report.run_id);
    table.line("scheduled", scheduled, "the warm-up included");
    table.line("acknowledged", acknowledged, "by the brokers");
    if skipped + failed + unknown > 0 {
        table.line(
            "not sent",
            skipped + failed + unknown,
            format!("{skipped} skipped, {failed} failed, {unknown} unknown"),
        );
    }
    if report.audit.is_some() {
        table.line("stored", stored, "in the table");
        table.line("dead-lettered", report.counts.dead_lettered, "in the dead-letter topic");
        table.line("missing", report.counts.missing, "neither stored nor dead-lettered");
        table.line("altered", report.counts.altered, "rows that differ from what was sent");
        table.line("stored twice", report.counts.stored_twice, "");
    }
    table.line("duplicates", report.counts.duplicates, "read again, and dropped");
    if let Some(stall) = longest_stall(report) {
        table.stall(stall);
    }
    for fault in &report.faults {
        table.line("fault", &fault.fault, fault_text(fault, report.seconds_of(fault.began_at)));
    }
    report.requirements.iter().for_each(|result| table.requirement(result));
    let reasons = report.verdict.reasons.join("; ");
    table.line("verdict", if report.verdict.valid { "valid" } else { "NOT VALID" }, reasons);
    let name = |stage: &str| match stage {
        "sent" => "due to sent".to_owned(),
        "ack" => "due to acknowledged".to_owned(),
        "stored" => {
            let coverage = report.audit.as_ref().and_then(|audit| audit.latency_coverage);
            format!("due to stored{}", coverage_note(coverage, "orders"))
        }
        stage => format!("  {stage}"),
    };
    for stage in &report.latencies {
        table.latency(&name(&stage.stage), &stage.summary);
    }
    left_out(&Counts { skipped, failed, unknown, ..Counts::default() }).iter().for_each(|orders| table.note(orders));
    table
}

/// The longest stall of a producer.
fn longest_stall(report: &RunReport) -> Option<&StallSummary> {
    let stalls = report.producers.iter().map(|producer| &producer.stall);
    stalls.max_by(|a, b| a.seconds.total_cmp(&b.seconds))
}

/// `began` is in seconds after the first due time.
fn fault_text(fault: &FaultRecord, began: f64) -> String {
    if let Some(error) = &fault.error {
        return format!("FAILED: {error}");
    }
    let lasted = fault.ended_at.map(|end| format!(", lasted {:.1} s", (end - fault.began_at).as_seconds_f64()));
    let seconds =
        |seconds: Option<f64>| seconds.map_or("not within the run".to_owned(), |seconds| format!("{seconds:.1} s"));
    let recovery = fault.recovery.map(|recovery| {
        format!(
            ", rate back after {}, lag after {}",
            seconds(recovery.stored_rate_seconds),
            seconds(recovery.lag_seconds)
        )
    });
    format!("at {began:.1} s{}{}", lasted.unwrap_or_default(), recovery.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::DateTime;

    use super::*;

    #[test]
    fn a_fault_that_waited_for_another_one_is_shown_with_the_time_when_it_began() {
        let fault = FaultRecord {
            fault: "restart kafka-2".to_owned(),
            planned_seconds: 60.0,
            began_at: DateTime::UNIX_EPOCH,
            ended_at: Some(DateTime::UNIX_EPOCH + Duration::from_millis(47_400)),
            error: None,
            recovery: None,
        };
        assert_eq!(fault_text(&fault, 91.5), "at 91.5 s, lasted 47.4 s");
    }
}
