//! The page that compares runs: each has a color, and the figures are side by side.

use anyhow::Context;
use askama::Template;

use super::{
    assets::{SCRIPT, STYLE},
    chart_data::{
        ChartData, Dash, Distribution, Line, LineColor, Scale, TimeChart, Unit, marks, stage_and_percentile, time_range,
    },
    comparison_figures::{details_table, figures_table, recovery_table},
    table::Table,
};
use crate::report::model::{Chart, RunReport};

/// The page that compares `reports` as HTML.
///
/// # Errors
/// When the template can't be filled in; only a lack of memory has that result.
pub fn comparison_page(reports: &[RunReport]) -> anyhow::Result<String> {
    let page = ComparisonPage {
        title: format!("{} runs compared", reports.len()),
        style: STYLE,
        script: SCRIPT,
        reports,
        figures: figures_table(reports),
        recoveries: recovery_table(reports),
        details: details_table(reports),
        charts: charts_of_runs(reports),
    };
    page.render().context("the page of the comparison can't be drawn")
}

#[derive(Template)]
#[template(path = "comparison.html")]
struct ComparisonPage<'a> {
    title: String,
    style: &'static str,
    script: &'static str,
    reports: &'a [RunReport],
    figures: Table,
    recoveries: Table,
    details: Table,
    charts: ChartData<'a>,
}

impl ComparisonPage<'_> {
    fn has_chart(&self, id: &str) -> bool {
        self.charts.charts.iter().any(|chart| chart.id == id)
    }

    fn has_distribution(&self, id: &str) -> bool {
        self.charts.distributions.iter().any(|distribution| distribution.chart == id)
    }
}

/// The charts of a comparison: a series of a run, and its unit.
const CHARTS: [(&str, Chart, &str, Scale, Unit); 5] = [
    ("acknowledged-rate", Chart::Rate, "acknowledged", Scale::Linear, Unit::PerSecond),
    ("stored-rate", Chart::Rate, "stored", Scale::Linear, Unit::PerSecond),
    ("ack-p99", Chart::Latency, "ack p99", Scale::Logarithmic, Unit::Milliseconds),
    ("stored-p50", Chart::Latency, "stored p50", Scale::Logarithmic, Unit::Milliseconds),
    ("stored-p99", Chart::Latency, "stored p99", Scale::Logarithmic, Unit::Milliseconds),
];

/// The distributions of a comparison: element and stage.
const DISTRIBUTIONS: [(&str, &str); 3] =
    [("stored-distribution", "stored"), ("ack-distribution", "ack"), ("sent-distribution", "sent")];

fn charts_of_runs(reports: &[RunReport]) -> ChartData<'_> {
    let charts = CHARTS.into_iter().map(|(id, chart, name, scale, unit)| TimeChart {
        id,
        scale,
        unit,
        series: reports.iter().enumerate().filter_map(|(run, report)| line_of_run(run, report, chart, name)).collect(),
    });
    ChartData {
        range: time_range(reports),
        times: reports.iter().map(|report| report.timeline.seconds.as_slice()).collect(),
        charts: charts.filter(|chart| !chart.series.is_empty()).collect(),
        marks: reports.iter().enumerate().flat_map(|(run, report)| marks(report, Some(run))).collect(),
        phases: Vec::new(),
        distributions: DISTRIBUTIONS.into_iter().flat_map(|(id, stage)| distributions(reports, id, stage)).collect(),
    }
}

fn line_of_run<'a>(run: usize, report: &'a RunReport, chart: Chart, name: &str) -> Option<Line<'a>> {
    let series = report.timeline.series.iter().find(|series| series.chart == chart && series.name == name)?;
    let dash = if stage_and_percentile(name).1 == "p50" { Dash::Thin } else { Dash::Solid };
    let color = Some(LineColor::Numbered(run));
    Some(Line { name: &report.run_id, times: run, color, dash, shown: true, values: &series.values })
}

fn distributions<'a>(
    reports: &'a [RunReport],
    chart: &'static str,
    stage: &str,
) -> impl Iterator<Item = Distribution<'a>> {
    reports.iter().enumerate().filter_map(move |(run, report)| {
        let latencies = report.latencies.iter().find(|latencies| latencies.stage == stage)?;
        let (name, points, count) = (&report.run_id, &latencies.distribution, latencies.summary.count);
        let color = Some(LineColor::Numbered(run));
        (!points.is_empty()).then_some(Distribution { chart, name, color, count, points })
    })
}
