//! The tables of a comparison: a row a figure, a column a run.

use shared::latency::LatencySummary;

use super::{
    chart_data::FROM_DUE,
    figures::{Figure, NONE, clock, count, latency, mebibytes, optional, seconds, significant},
    table::{
        Align::{Left, Right},
        Cell, Emphasis, Table,
    },
};
use crate::report::model::{RunCounts, RunReport};

const COUNTS: [Figure<RunCounts, u64>; 4] = [
    ("scheduled", |counts| counts.scheduled),
    ("acknowledged", |counts| counts.acknowledged),
    ("unknown", |counts| counts.unknown),
    ("duplicates", |counts| counts.duplicates),
];

/// Those that only an audit finds.
const AUDITED_COUNTS: [Figure<RunCounts, u64>; 4] = [
    ("stored", |counts| counts.stored),
    ("dead-lettered", |counts| counts.dead_lettered),
    ("missing", |counts| counts.missing),
    ("altered", |counts| counts.altered),
];

const PERCENTILES: [Figure<LatencySummary, f64>; 4] = [
    ("p50", |summary| summary.p50),
    ("p99", |summary| summary.p99),
    ("p99.9", |summary| summary.p999),
    ("max", |summary| summary.max),
];

/// What a run is judged by, side by side.
pub fn figures_table(reports: &[RunReport]) -> Table {
    let mut table = table_of_runs("figures", "", reports);
    row(&mut table, reports, "scenario", |report| report.scenario.name.as_str().into());
    row(&mut table, reports, "verdict", verdict);
    let length = |report: &RunReport| clock((report.ended_at - report.started_at).as_seconds_f64()).into();
    row(&mut table, reports, "length", length);
    for (name, figure) in COUNTS {
        row(&mut table, reports, name, |report| count(figure(&report.counts)).into());
    }
    for (name, figure) in AUDITED_COUNTS {
        row(&mut table, reports, name, |report| {
            optional(report.audit.as_ref(), |_| count(figure(&report.counts))).into()
        });
    }
    for stage in FROM_DUE {
        add_latencies(&mut table, reports, stage);
    }
    table
}

/// The stages of the consumer, and the processes.
pub fn details_table(reports: &[RunReport]) -> Table {
    let mut table = table_of_runs("details", "", reports);
    let stages = reports.iter().flat_map(|report| report.latencies.iter().map(|stage| stage.stage.as_str()));
    for stage in names(stages.filter(|stage| !FROM_DUE.contains(stage))) {
        add_latencies(&mut table, reports, stage);
    }
    for name in names(reports.iter().flat_map(|report| report.processes.iter().map(|process| process.name.as_str()))) {
        let process = |report: &RunReport| report.processes.iter().find(|process| process.name == name).cloned();
        row(&mut table, reports, &format!("{name}: CPU, cores"), |report| {
            optional(process(report), |process| significant(process.cpu_cores)).into()
        });
        row(&mut table, reports, &format!("{name}: memory, at most"), |report| {
            optional(process(report), |process| mebibytes(process.max_memory_bytes)).into()
        });
    }
    table
}

fn table_of_runs(id: &'static str, title: &str, reports: &[RunReport]) -> Table {
    let runs = reports.iter().map(|report| (report.run_id.clone(), Right));
    Table::new(id, [(title.to_owned(), Left)].into_iter().chain(runs))
}

fn row(table: &mut Table, reports: &[RunReport], name: &str, cell: impl Fn(&RunReport) -> Cell) {
    table.row([Cell::from(name)].into_iter().chain(reports.iter().map(cell)).collect());
}

fn add_latencies(table: &mut Table, reports: &[RunReport], stage: &str) {
    for (percentile, figure) in PERCENTILES {
        row(table, reports, &format!("{stage} {percentile}, ms"), |report| {
            let of_stage = report.latencies.iter().find(|latencies| latencies.stage == stage);
            of_stage.map_or_else(|| NONE.to_owned(), |latencies| latency(&latencies.summary, figure)).into()
        });
    }
}

/// Until the stored rate recovered, by fault.
pub fn recovery_table(reports: &[RunReport]) -> Table {
    let mut table = table_of_runs("recoveries", "stored rate recovered", reports);
    for fault in names(reports.iter().flat_map(|report| report.faults.iter().map(|fault| fault.fault.as_str()))) {
        let cells = reports.iter().map(|report| {
            let of_run = report.faults.iter().filter(|record| record.fault == fault);
            let times = of_run.map(|record| match record.recovery {
                None => NONE.to_owned(),
                Some(recovery) => recovery.stored_rate_seconds.map_or_else(|| "not recovered".to_owned(), seconds),
            });
            Cell::from(times.collect::<Vec<_>>().join(", "))
        });
        table.row([Cell::from(fault)].into_iter().chain(cells).collect());
    }
    table
}

fn verdict(report: &RunReport) -> Cell {
    match (report.interrupted, report.verdict.valid) {
        (true, _) => Cell::new("interrupted", Emphasis::Bad),
        (false, true) => Cell::new("valid", Emphasis::Good),
        (false, false) => Cell::new("not valid", Emphasis::Bad),
    }
}

/// Each name once, in the order in which they come first.
fn names<'a>(all: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names = Vec::new();
    for name in all {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
