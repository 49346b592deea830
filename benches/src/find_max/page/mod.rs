//! The page of a search, in the style of the report of a run. Its charts are SVG: it is one file without references and
//! scripts.

mod axis;
mod chart;
mod plots;
mod tables;

use anyhow::Context;
use askama::Template;

use self::chart::{Chart, draw};
use super::{
    report::{FindMaxReport, nearest_held},
    search::CERTAINTY,
};
use crate::report::page::{
    assets::STYLE,
    figures::{NONE, clock, latency, optional},
    table::Table,
};

#[derive(Template)]
#[template(path = "find_max.html")]
struct Page<'a> {
    style: &'static str,
    report: &'a FindMaxReport,
    headline: String,
    end: String,
    required: String,
    disturbance: Option<String>,
    length: String,
    budget: String,
    tiles: Vec<(&'static str, String, String)>,
    charts: Vec<Chart>,
    probes: Table,
    processes: Table,
}

/// The page as HTML.
///
/// # Errors
/// When the template can't be filled in; only a lack of memory has that result.
pub fn page(report: &FindMaxReport) -> anyhow::Result<String> {
    let page = Page {
        style: STYLE,
        report,
        headline: report.headline(),
        end: report.end_text(),
        required: report.required(),
        disturbance: report.disturbance(),
        length: clock(report.seconds),
        budget: clock(report.budget_seconds),
        tiles: tiles(report),
        charts: plots::plots(report).iter().map(draw).collect(),
        probes: tables::probes(report),
        processes: tables::processes(report),
    };
    page.render().context("the page of the search can't be drawn")
}

/// A name, a figure and a note each.
fn tiles(report: &FindMaxReport) -> Vec<(&'static str, String, String)> {
    let rate = |rate: Option<f64>| rate.map_or_else(|| NONE.to_owned(), |rate| format!("{rate}/s"));
    let result = report.result;
    let held = nearest_held(report.probes.iter(), &result);
    let p99 = held.map_or_else(|| NONE.to_owned(), |probe| latency(&probe.stored_ms, |summary| summary.p99) + " ms");
    let cpu =
        held.map_or_else(|| NONE.to_owned(), |probe| optional(probe.machine_cpu_cores, |cores| format!("{cores:.2}")));
    let at = held.map_or_else(|| "no probe held".to_owned(), |probe| format!("when {}/s held", probe.rate));
    let certainty = format!("with {:.0} % certainty", 100.0 * CERTAINTY);
    let interval = result
        .rate
        .map_or_else(|| NONE.to_owned(), |_| format!("{} to {}/s", result.interval.low, result.interval.high));
    vec![
        ("highest rate that holds", rate(result.rate), "a probe holds there as often as it breaks".to_owned()),
        ("it is within", interval, certainty),
        ("stored p99", p99, at.clone()),
        ("CPU", cpu, format!("of {} cores, whole machine, {at}", report.machine.cores)),
    ]
}
