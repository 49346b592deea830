//! The data of the charts, as the scripts of the page read it.

use serde::Serialize;

use crate::{
    fault::FaultRecord,
    report::model::{Chart, PhaseFigures, RunReport, Series, StageLatencies},
};

/// Stages that begin with the due time. The others are parts of the consumer's work.
pub const FROM_DUE: [&str; 3] = ["sent", "ack", "stored"];
/// The same of changes of orders.
const OF_CHANGES: [&str; 3] = ["change sent", "change ack", "change stored"];

/// All charts of a page.
#[derive(Serialize)]
pub struct ChartData<'a> {
    /// Beginning and end of the time axis.
    pub range: (f64, f64),
    /// The times of each run.
    pub times: Vec<&'a [f64]>,
    pub charts: Vec<TimeChart<'a>>,
    pub marks: Vec<Mark>,
    pub phases: Vec<PhaseMark<'a>>,
    pub distributions: Vec<Distribution<'a>>,
}

/// A chart over the time of the run.
#[derive(Serialize)]
pub struct TimeChart<'a> {
    /// Id of the element that it is drawn in.
    pub id: &'static str,
    pub scale: Scale,
    pub unit: Unit,
    pub series: Vec<Line<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    Linear,
    Logarithmic,
    /// From 0, with steps: a number that holds until the next one.
    Steps,
}

/// How a value is written.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    Number,
    PerSecond,
    Milliseconds,
    Share,
    Cores,
    /// The values are bytes.
    Mebibytes,
}

#[derive(Serialize)]
pub struct Line<'a> {
    pub name: &'a str,
    /// Index of its times.
    pub times: usize,
    /// Number of its color, when it is not that of its place. Lines of a stage, or of a run, have the same one.
    pub color: Option<LineColor>,
    pub dash: Dash,
    /// Whether it is drawn before the reader chooses.
    pub shown: bool,
    pub values: &'a [Option<f64>],
}

/// A color that means the same in all charts of the page.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case", untagged)]
pub enum LineColor {
    Named(&'static str),
    Numbered(usize),
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dash {
    /// Chosen by the place in the chart: only when there are more lines than colors.
    ByPlace,
    Thin,
    Solid,
    Dotted,
    /// Behind the others.
    Wide,
}

/// A fault on the time axis.
#[derive(Serialize)]
pub struct Mark {
    /// From 1, as in the table of faults.
    pub number: usize,
    pub name: String,
    pub begin: f64,
    /// `None` for a fault without a duration.
    pub end: Option<f64>,
    /// Index of its run, in a comparison.
    pub run: Option<usize>,
}

#[derive(Serialize)]
pub struct PhaseMark<'a> {
    pub name: &'a str,
    pub begin: f64,
    pub end: f64,
}

/// The distribution of the latencies of a stage.
#[derive(Serialize)]
pub struct Distribution<'a> {
    pub chart: &'static str,
    pub name: &'a str,
    pub color: Option<LineColor>,
    /// Number of latencies.
    pub count: u64,
    /// Quantile and milliseconds.
    pub points: &'a [(f64, f64)],
}

pub fn marks(report: &RunReport, run: Option<usize>) -> Vec<Mark> {
    let mark = |(place, fault): (usize, &FaultRecord)| Mark {
        number: place + 1,
        name: fault.fault.clone(),
        begin: report.seconds_of(fault.began_at),
        end: fault.ended_at.map(|at| report.seconds_of(at)),
        run,
    };
    report.faults.iter().enumerate().map(mark).collect()
}

/// The charts of one run.
pub fn charts_of_run(report: &RunReport) -> ChartData<'_> {
    let of = |chart: Chart| report.timeline.series.iter().filter(move |series| series.chart == chart);
    let lines = |chart: Chart| of(chart).map(plain).collect::<Vec<_>>();
    let is_of =
        |stages: &'static [&str]| move |series: &&Series| stages.contains(&stage_and_percentile(&series.name).0);
    let (is_from_due, is_of_changes) = (is_of(&FROM_DUE), is_of(&OF_CHANGES));
    let latency = of(Chart::Latency).filter(is_from_due).map(percentile_line).collect();
    let change_latency = of(Chart::Latency).filter(is_of_changes).map(percentile_line).collect();
    let stages = stage_lines(of(Chart::Latency).filter(|series| !is_from_due(series) && !is_of_changes(series)));
    let rate = of(Chart::Rate).map(rate_line).collect();
    let chart = |id, scale, unit, series| TimeChart { id, scale, unit, series };
    let charts = vec![
        chart("rate", Scale::Linear, Unit::PerSecond, rate),
        chart("change-rate", Scale::Linear, Unit::PerSecond, of(Chart::ChangeRate).map(rate_line).collect()),
        chart("latency", Scale::Logarithmic, Unit::Milliseconds, latency),
        chart("change-latency", Scale::Logarithmic, Unit::Milliseconds, change_latency),
        chart("stages", Scale::Logarithmic, Unit::Milliseconds, stages),
        chart("partition-lag", Scale::Linear, Unit::Number, lines(Chart::PartitionLag)),
        chart("consumer-lag", Scale::Linear, Unit::Number, lines(Chart::ConsumerLag)),
        chart("assignment", Scale::Steps, Unit::Number, lines(Chart::Assignment)),
        chart("batch-rows", Scale::Linear, Unit::Number, lines(Chart::BatchRows)),
        chart("hit-rate", Scale::Linear, Unit::Share, lines(Chart::HitRate)),
        chart("cpu", Scale::Linear, Unit::Cores, lines(Chart::Cpu)),
        chart("memory", Scale::Linear, Unit::Mebibytes, lines(Chart::Memory)),
        chart("open-files", Scale::Steps, Unit::Number, lines(Chart::OpenFiles)),
    ];
    ChartData {
        range: time_range([report]),
        times: vec![&report.timeline.seconds],
        charts: charts.into_iter().filter(|chart| !chart.series.is_empty()).collect(),
        marks: marks(report, None),
        phases: report.phases.iter().map(phase_mark).collect(),
        distributions: report.latencies.iter().map(distribution).filter(|shown| !shown.points.is_empty()).collect(),
    }
}

/// From the first to the last sample of all runs.
pub fn time_range<'a>(reports: impl IntoIterator<Item = &'a RunReport>) -> (f64, f64) {
    let times = reports.into_iter().flat_map(|report| &report.timeline.seconds);
    let (first, last) = times.fold((0.0_f64, f64::MIN), |(first, last), at| (first.min(*at), last.max(*at)));
    (first, last.max(first + 1.0))
}

/// The name of a latency's series: `stored p99` is of stage `stored`.
pub fn stage_and_percentile(name: &str) -> (&str, &str) {
    name.rsplit_once(' ').unwrap_or((name, ""))
}

fn plain(series: &Series) -> Line<'_> {
    Line { name: &series.name, times: 0, color: None, dash: Dash::ByPlace, shown: true, values: &series.values }
}

fn rate_line(series: &Series) -> Line<'_> {
    let dash = if series.name == "asked" { Dash::Wide } else { Dash::Solid };
    Line { color: named(&series.name), dash, ..plain(series) }
}

/// Percentiles of a stage have its color. The maximum is drawn on request: it would cover the others.
fn percentile_line(series: &Series) -> Line<'_> {
    let (stage, percentile) = stage_and_percentile(&series.name);
    let dash = match percentile {
        "p50" => Dash::Thin,
        "max" => Dash::Dotted,
        _ => Dash::Solid,
    };
    Line { color: named(stage), dash, shown: percentile != "max", ..plain(series) }
}

/// Percentiles of stages whose colors have no names: each stage has the next one.
fn stage_lines<'a>(series: impl Iterator<Item = &'a Series>) -> Vec<Line<'a>> {
    let mut stages: Vec<&str> = Vec::new();
    let line = |series: &'a Series| {
        let stage = stage_and_percentile(&series.name).0;
        let number = stages.iter().position(|known| *known == stage).unwrap_or_else(|| {
            stages.push(stage);
            stages.len() - 1
        });
        Line { color: Some(LineColor::Numbered(number)), ..percentile_line(series) }
    };
    series.map(line).collect()
}

/// The color of a rate or stage, the same in all charts.
fn named(name: &str) -> Option<LineColor> {
    let color = match name.strip_prefix("change ").unwrap_or(name) {
        "asked" => "asked",
        "sent" => "sent",
        "ack" | "acknowledged" => "acknowledged",
        "stored" => "stored",
        _ => return None,
    };
    Some(LineColor::Named(color))
}

fn phase_mark(phase: &PhaseFigures) -> PhaseMark<'_> {
    PhaseMark { name: &phase.name, begin: phase.start_seconds, end: phase.end_seconds }
}

fn distribution(latencies: &StageLatencies) -> Distribution<'_> {
    Distribution {
        chart: "distribution",
        name: &latencies.stage,
        color: named(&latencies.stage),
        count: latencies.summary.count,
        points: &latencies.distribution,
    }
}
