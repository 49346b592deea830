//! The figures of one run that are compared.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use shared::latency::LatencySummary;

use crate::report::model::{Machine, PhaseFigures, ProcessFigures, RunReport};

/// The stages of the key figures and of the table of latencies that every run has.
const MAIN_STAGES: [&str; 3] = ["stored", "ack", "sent"];

/// The figures of a run, as a comparison reads them from its report and as a baseline file keeps them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunFigures {
    pub run_id: String,
    pub started_at: DateTime<Utc>,
    /// The scenario as TOML, after all overrides.
    pub scenario: String,
    pub machine: Machine,
    pub versions: BTreeMap<String, String>,
    /// In the order in which they are printed.
    pub figures: Vec<Figure>,
    /// Orders that are missing, altered or stored twice, by the name of the count. All must be 0.
    pub must_be_zero: BTreeMap<String, u64>,
}

/// A figure of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Such as `stored p99`.
    pub name: String,
    /// Such as `ms`.
    pub unit: String,
    pub better: Direction,
    pub family: Family,
    /// `None` for what did not happen before the end of the run: a fault from which it did not recover.
    pub value: Option<f64>,
}

/// Which values of a figure are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    Lower,
    Higher,
}

/// Figures whose p-values are corrected together. Few runs tell a change of few figures, so those that a user looks at
/// first are by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    Key,
    Detail,
}

impl Figure {
    fn new(name: impl Into<String>, unit: &str, better: Direction, family: Family, value: Option<f64>) -> Self {
        Self { name: name.into(), unit: unit.to_owned(), better, family, value }
    }

    /// The value for a rank test: above all others when the run did not recover.
    pub fn rank_value(&self) -> f64 {
        self.value.unwrap_or(f64::INFINITY)
    }
}

impl RunFigures {
    /// The figures of a whole run.
    pub fn of(report: &RunReport) -> Self {
        let mut figures = latencies(report);
        figures.extend(rates(report));
        figures.extend(processes(report));
        figures.extend(counts(report));
        figures.extend(recoveries(report));
        figures.sort_by_key(|figure| figure.family);
        Self {
            run_id: report.run_id.clone(),
            started_at: report.started_at,
            scenario: report.scenario.text.clone(),
            machine: report.machine.clone(),
            versions: report.versions.clone(),
            figures,
            must_be_zero: must_be_zero(report),
        }
    }

    pub fn figure(&self, name: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.name == name)
    }
}

fn latencies(report: &RunReport) -> Vec<Figure> {
    let is_main = |stage: &str| MAIN_STAGES.contains(&stage);
    let position = |stage: &str| MAIN_STAGES.iter().position(|main| *main == stage).unwrap_or(MAIN_STAGES.len());
    let mut stages: Vec<_> = report.latencies.iter().filter(|stage| stage.summary.count > 0).collect();
    stages.sort_by_key(|stage| position(&stage.stage));
    let figures = stages.into_iter().flat_map(|stage| {
        let LatencySummary { p50, p99, p999, .. } = stage.summary;
        let family = if stage.stage == "stored" { Family::Key } else { Family::Detail };
        // p99.9 of a stage of the consumer is of no use without that of the whole.
        let tail = is_main(&stage.stage).then_some(("p99.9", p999));
        [("p50", p50), ("p99", p99)].into_iter().chain(tail).map(move |(percentile, value)| {
            Figure::new(format!("{} {percentile}", stage.stage), "ms", Direction::Lower, family, Some(value))
        })
    });
    figures.collect()
}

/// Averages of the measured phases.
struct Measured {
    acknowledged_rate: f64,
    stored_rate: f64,
}

fn measured(report: &RunReport) -> Option<Measured> {
    let phases = || report.phases.iter().filter(|phase| phase.measured);
    let length = |phase: &PhaseFigures| phase.end_seconds - phase.start_seconds;
    let seconds: f64 = phases().map(length).sum();
    let orders =
        |rate: fn(&PhaseFigures) -> f64| phases().map(|phase| rate(phase) * length(phase)).sum::<f64>() / seconds;
    (seconds > 0.0).then(|| Measured {
        acknowledged_rate: orders(|phase| phase.acknowledged_rate),
        stored_rate: orders(|phase| phase.stored_rate),
    })
}

fn rates(report: &RunReport) -> Vec<Figure> {
    let Some(Measured { acknowledged_rate, stored_rate, .. }) = measured(report) else { return Vec::new() };
    let rate = |name, family, value| Figure::new(name, "/s", Direction::Higher, family, Some(value));
    vec![rate("stored rate", Family::Key, stored_rate), rate("acknowledged rate", Family::Detail, acknowledged_rate)]
}

/// Processes of one kind are compared together: `consumer-1` of one run is not the same as that of another.
fn processes(report: &RunReport) -> Vec<Figure> {
    let of_pipeline = || report.processes.iter().filter(|process| process.name != "loadtest");
    let mut kinds: Vec<&str> = of_pipeline().map(kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let mut figures = Vec::new();
    let stored = measured(report).map(|measured| measured.stored_rate).filter(|rate| *rate > 0.0);
    let mut add = |name: &str, family: Family, processes: &[&ProcessFigures]| {
        let cores: f64 = processes.iter().map(|process| process.cpu_cores).sum();
        let memory: f64 = processes.iter().map(|process| process.max_memory_bytes as f64).sum();
        if let Some(rate) = stored {
            let cpu = Some(cores / rate * 1e6);
            figures.push(Figure::new(format!("CPU {name}"), "µs/order", Direction::Lower, family, cpu));
        }
        let memory = Some(memory / f64::from(1 << 20));
        figures.push(Figure::new(format!("memory {name}"), "MiB", Direction::Lower, family, memory));
    };
    if !kinds.is_empty() {
        add("all", Family::Key, &of_pipeline().collect::<Vec<_>>());
    }
    for name in kinds {
        add(name, Family::Detail, &of_pipeline().filter(|process| kind(process) == name).collect::<Vec<_>>());
    }
    figures
}

/// The name without its number: `kafka` for `kafka-2`.
fn kind(process: &ProcessFigures) -> &str {
    match process.name.rsplit_once('-') {
        Some((kind, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => kind,
        _ => &process.name,
    }
}

/// Counts that faults may raise.
fn counts(report: &RunReport) -> Vec<Figure> {
    let counts = &report.counts;
    let named = [
        ("skipped", counts.skipped),
        ("failed", counts.failed),
        ("unknown", counts.unknown),
        ("duplicates", counts.duplicates),
        ("dead letters", counts.dead_lettered),
    ];
    let figure =
        |(name, count): (&str, u64)| Figure::new(name, "", Direction::Lower, Family::Detail, Some(count as f64));
    named.into_iter().map(figure).collect()
}

fn recoveries(report: &RunReport) -> Vec<Figure> {
    let recovered = report.faults.iter().filter_map(|fault| Some((fault, fault.recovery?)));
    let figures = recovered.flat_map(|(fault, recovery)| {
        let after = format!("after {} at {} s", fault.fault, fault.planned_seconds);
        let figure = |what: &str, seconds| {
            Figure::new(format!("{what} recovery {after}"), "s", Direction::Lower, Family::Detail, seconds)
        };
        [figure("rate", recovery.stored_rate_seconds), figure("lag", recovery.lag_seconds)]
    });
    figures.collect()
}

fn must_be_zero(report: &RunReport) -> BTreeMap<String, u64> {
    let counts = &report.counts;
    let mut all = BTreeMap::from([
        ("missing".to_owned(), counts.missing),
        ("altered".to_owned(), counts.altered),
        ("stored twice".to_owned(), counts.stored_twice),
    ]);
    match &report.audit {
        Some(audit) => all.extend(
            [
                ("conflicting", audit.conflicting),
                ("unexplained", audit.unexplained),
                ("without record", audit.without_record),
                ("missing from the topic", audit.missing_from_topic),
                ("invalid, but stored", audit.invalid_stored),
                ("unexpected dead letters", audit.unexpected_dead_letters),
            ]
            .map(|(name, count)| (name.to_owned(), count)),
        ),
        None => drop(all.insert("not audited".to_owned(), 1)),
    }
    all
}
