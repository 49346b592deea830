//! The charts of a search: latency over rate, and CPU over rate.

use shared::requirement::{Metric, Requirement};

use super::{
    axis::Scale,
    chart::{Limit, Plot, Point, Series},
};
use crate::find_max::report::{FindMaxReport, ProbeReport};

/// Kinds of processes by the beginning of their names, and their colors.
const KINDS: [(&str, &str, &str); 7] = [
    ("producer", "producer", "--line-0"),
    ("brokers", "kafka", "--line-1"),
    ("consumers", "consumer", "--line-2"),
    ("PostgreSQL", "postgres", "--line-3"),
    ("Redis", "redis", "--line-4"),
    ("cache-worker", "cache-worker", "--line-5"),
    ("loadtest", "loadtest", "--line-6"),
];
const TOTAL: &str = "--line-7";

pub fn plots(report: &FindMaxReport) -> Vec<Plot> {
    let probes = report.by_rate();
    if probes.is_empty() {
        return Vec::new();
    }
    vec![latency(report, &probes), cpu_by_kind(report, &probes), cpu_by_process(&probes)]
}

fn latency(report: &FindMaxReport, probes: &[&ProbeReport]) -> Plot {
    let stored = |probe: &ProbeReport| (probe.stored_ms.count > 0).then_some(probe.stored_ms);
    let series = vec![
        series("stored p99", "--line-0", "stored p99", probes, |probe| Some(stored(probe)?.p99)),
        series("stored p50", "--line-1", "stored p50", probes, |probe| Some(stored(probe)?.p50)),
        series("ack p99", "--line-2", "ack p99", probes, |probe| (probe.ack_ms.count > 0).then_some(probe.ack_ms.p99)),
    ];
    let requirements = report.requirements.iter().filter_map(|text| text.parse::<Requirement>().ok());
    let limits = requirements.filter(|it| matches!(it.metric(), Metric::Stored | Metric::Ack));
    let limits = limits.map(|it| Limit { value: it.limit(), label: it.to_string() }).collect();
    Plot { title: "Latency over rate", unit: "ms", scale: Scale::Logarithmic, series, limits }
}

fn cpu_by_kind(report: &FindMaxReport, probes: &[&ProbeReport]) -> Plot {
    let of_kind = |(index, (name, ..)): (usize, &(&'static str, Option<f64>))| {
        let color = KINDS.get(index).map_or(TOTAL, |(.., color)| color);
        series(name, color, name, probes, |probe| probe.cpu_cores.by_name()[index].1)
    };
    let kinds = probes[0].cpu_cores.by_name();
    let mut all: Vec<Series> = kinds.iter().enumerate().map(of_kind).collect();
    all.push(series("whole machine", TOTAL, "whole machine", probes, |probe| probe.machine_cpu_cores));
    let cores = report.machine.cores;
    let limits = vec![Limit { value: cores as f64, label: format!("{cores} cores") }];
    let series = all.into_iter().filter(|series| !series.points.is_empty()).collect();
    Plot { title: "CPU over rate, by kind of process", unit: "cores", scale: Scale::Linear, series, limits }
}

fn cpu_by_process(probes: &[&ProbeReport]) -> Plot {
    let names: Vec<&str> = process_names(probes);
    let mut all = Vec::new();
    for (kind, prefix, color) in KINDS {
        for name in
            names.iter().filter(|name| name.trim_end_matches(|c: char| c == '-' || c.is_ascii_digit()) == prefix)
        {
            all.push(series(kind, color, name, probes, |probe| cores(probe, name)));
        }
    }
    Plot {
        title: "CPU of each process over rate",
        unit: "cores",
        scale: Scale::Linear,
        series: all,
        limits: Vec::new(),
    }
}

/// The processes of all probes.
pub fn process_names<'a>(probes: &[&'a ProbeReport]) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for process in probes.iter().flat_map(|probe| &probe.processes) {
        if !names.contains(&process.name.as_str()) {
            names.push(&process.name);
        }
    }
    names
}

/// The CPU of a process in a probe.
pub fn cores(probe: &ProbeReport, name: &str) -> Option<f64> {
    probe.processes.iter().find(|process| process.name == name).map(|process| process.cpu_cores)
}

fn series(
    name: &'static str,
    color: &'static str,
    label: &str,
    probes: &[&ProbeReport],
    value: impl Fn(&ProbeReport) -> Option<f64>,
) -> Series {
    let point = |probe: &&ProbeReport| {
        let (rate, held, label) = (probe.rate, probe.has_held(), label.to_owned());
        Some(Point { rate, value: value(probe)?, held, label })
    };
    Series { name, color, points: probes.iter().filter_map(point).collect() }
}
