//! The page of one run.

use anyhow::Context;
use askama::Template;
use chrono::{DateTime, Utc};

use super::{
    assets::{SCRIPT, STYLE},
    chart_data::{ChartData, charts_of_run},
    figures, run_tables,
    table::Table,
};
use crate::report::model::RunReport;

/// The page of a run as HTML.
///
/// # Errors
/// When the template can't be filled in; only a lack of memory has that result.
pub fn report_page(report: &RunReport) -> anyhow::Result<String> {
    let page = RunPage::new(report);
    page.render().with_context(|| format!("the page of run {} can't be drawn", report.run_id))
}

#[derive(Template)]
#[template(path = "run.html")]
struct RunPage<'a> {
    title: String,
    style: &'static str,
    script: &'static str,
    report: &'a RunReport,
    verdict: Verdict,
    length: String,
    tiles: Vec<Tile>,
    requirements: Table,
    charts: ChartData<'a>,
    latencies: Table,
    phases: Table,
    audit: Option<Table>,
    altered: Table,
    faults: Table,
    events: Table,
    processes: Table,
    producers: Table,
    memory: String,
}

/// What the reader is told first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Valid,
    NotValid,
    Interrupted,
}

/// A figure in large type.
struct Tile {
    name: &'static str,
    value: String,
    note: String,
}

impl Verdict {
    fn of(report: &RunReport) -> Self {
        match (report.interrupted, report.verdict.valid) {
            (true, _) => Self::Interrupted,
            (false, true) => Self::Valid,
            (false, false) => Self::NotValid,
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::NotValid => "not-valid",
            Self::Interrupted => "interrupted",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Valid => "Valid",
            Self::NotValid => "Not valid",
            Self::Interrupted => "Interrupted",
        }
    }
}

impl<'a> RunPage<'a> {
    fn new(report: &'a RunReport) -> Self {
        Self {
            title: format!("{} · {}", report.scenario.name, report.run_id),
            style: STYLE,
            script: SCRIPT,
            report,
            verdict: Verdict::of(report),
            length: figures::clock((report.ended_at - report.started_at).as_seconds_f64()),
            tiles: tiles(report),
            requirements: run_tables::requirements(report),
            charts: charts_of_run(report),
            latencies: run_tables::latencies(report),
            phases: run_tables::phases(report),
            audit: report.audit.as_ref().map(run_tables::audit),
            altered: run_tables::altered(report),
            faults: run_tables::faults(report),
            events: run_tables::events(report),
            processes: run_tables::processes(report),
            producers: run_tables::producers(report),
            memory: figures::mebibytes(report.machine.memory_bytes),
        }
    }

    fn has_chart(&self, id: &str) -> bool {
        self.charts.charts.iter().any(|chart| chart.id == id)
    }

    fn time(&self, at: &DateTime<Utc>) -> String {
        at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
    }
}

fn tiles(report: &RunReport) -> Vec<Tile> {
    let counts = &report.counts;
    let count = |name, value, note: String| Tile { name, value: figures::count(value), note };
    let mut tiles =
        vec![count("acknowledged", counts.acknowledged, format!("of {} scheduled", figures::count(counts.scheduled)))];
    let dead_lettered = format!("{} dead-lettered", figures::count(counts.dead_lettered));
    let audited = [
        ("stored", counts.stored, dead_lettered.as_str()),
        ("missing", counts.missing, "acknowledged, not stored"),
        ("altered", counts.altered, "other than sent"),
    ];
    tiles.extend(audited.map(|(name, value, note)| match report.audit {
        Some(_) => count(name, value, note.to_owned()),
        None => Tile { name, value: figures::NONE.to_owned(), note: "not audited".to_owned() },
    }));
    let stored = report.latencies.iter().find(|latencies| latencies.stage == "stored").map(|stage| &stage.summary);
    if let Some(stored) = stored.filter(|stored| stored.count > 0) {
        let note = format!("due to stored; p50 {} ms", figures::significant(stored.p50));
        tiles.push(Tile { name: "stored p99", value: format!("{} ms", figures::significant(stored.p99)), note });
    }
    tiles
}
