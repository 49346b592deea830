//! The result of a search, as it is written as JSON.

use std::{fmt, path::PathBuf};

use chrono::{DateTime, Utc};
use orderdb::audit::report::AuditReport;
use serde::Serialize;
use shared::{latency::LatencySummary, requirement::RequirementResult};

use super::{
    figures::{Backlog, CpuByKind, ProbeEnd, ProbeFigures},
    judge::{Broken, Judgement},
    lag_growth::LagGrowth,
    saturation::Saturation,
    search::{CERTAINTY, Interval, Outcome, ProbeLength, SearchEnd, SearchResult},
};
use crate::report::model::{Machine, ProcessFigures};

/// Version of the format; it changes when a field is renamed or removed.
pub const VERSION: u32 = 2;
/// Names of the report and of its page, in the folder of the search.
pub const JSON: &str = "find-max.json";
pub const PAGE: &str = "find-max.html";

/// The share of all cores that other programs may use without a warning.
const UNDISTURBED: f64 = 0.1;

#[derive(Debug, Serialize)]
pub struct FindMaxReport {
    pub version: u32,
    /// Name of the topic, the database and the group that the search had.
    pub name: String,
    /// Folder of the ledgers, the logs and this report.
    pub folder: PathBuf,
    pub started_at: DateTime<Utc>,
    pub seconds: f64,
    pub budget_seconds: f64,
    pub consumers: u16,
    /// This machine.
    pub machine: Machine,
    pub requirements: Vec<String>,
    pub result: SearchResult,
    /// `None` when no rate broke.
    pub saturation: Option<Saturation>,
    /// Of the probe that held nearest to the result. `None` without one, or when the search was stopped.
    pub audit: Option<AuditedProbe>,
    /// Why the search ended early: a program or a service failed.
    pub error: Option<String>,
    /// In the order in which they ran.
    pub probes: Vec<ProbeReport>,
}

/// The counts of an audit. All but `acknowledged` and `stored` must be 0.
#[derive(Debug, Serialize)]
pub struct AuditedProbe {
    pub run_id: String,
    pub valid: bool,
    pub acknowledged: u64,
    pub stored: u64,
    pub missing: u64,
    pub altered: u64,
    pub dead_lettered: u64,
}

/// One probe, measured in its steady part.
#[derive(Debug, Serialize)]
pub struct ProbeReport {
    pub run_id: String,
    /// Orders due per second.
    pub rate: f64,
    /// Orders acknowledged per second.
    pub acknowledged_rate: f64,
    pub length: ProbeLength,
    /// Seconds of the steady part.
    pub seconds: f64,
    pub end: ProbeEnd,
    pub outcome: Outcome,
    pub broken: Vec<Broken>,
    pub requirements: Vec<RequirementResult>,
    /// From due to stored, in milliseconds.
    pub stored_ms: LatencySummary,
    /// From due to acknowledged, in milliseconds.
    pub ack_ms: LatencySummary,
    pub lag: Option<LagGrowth>,
    /// What ended the probe early.
    pub backlog: Option<Backlog>,
    pub cpu_cores: CpuByKind,
    /// Cores of the whole machine in use, by whatever program.
    pub machine_cpu_cores: Option<f64>,
    /// Each process: its average CPU, and its maxima.
    pub processes: Vec<ProcessFigures>,
}

impl AuditedProbe {
    pub fn new(run_id: String, audit: &AuditReport) -> Self {
        Self {
            run_id,
            valid: audit.is_valid(),
            acknowledged: audit.acknowledged,
            stored: audit.stored,
            missing: audit.missing,
            altered: audit.altered,
            dead_lettered: audit.dead_lettered,
        }
    }
}

impl fmt::Display for AuditedProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.valid { "all stored as sent" } else { "NOT VALID" };
        let Self { run_id, acknowledged, missing, altered, .. } = self;
        write!(f, "audit of {run_id}: {verdict}; {acknowledged} acknowledged, {missing} missing, {altered} altered")
    }
}

impl ProbeReport {
    pub fn new(run_id: String, figures: &ProbeFigures, judgement: Judgement) -> Self {
        Self {
            run_id,
            rate: figures.probe.rate,
            acknowledged_rate: figures.summary.rate_achieved,
            length: figures.probe.length,
            seconds: figures.seconds,
            end: figures.end,
            outcome: judgement.outcome,
            broken: judgement.broken,
            requirements: judgement.requirements,
            stored_ms: figures.stored.summary(),
            ack_ms: figures.ack,
            lag: judgement.lag,
            backlog: figures.backlog,
            cpu_cores: figures.cpu,
            machine_cpu_cores: figures.machine_cores,
            processes: figures.processes.clone(),
        }
    }

    /// For the log.
    pub fn sentence(&self) -> String {
        let LatencySummary { p50, p99, .. } = self.stored_ms;
        let (verdict, because) = (self.verdict(), self.broken_text());
        let because = if because.is_empty() { because } else { format!(": {because}") };
        format!("{} orders a second {verdict}{because} (stored p50 {p50:.1}, p99 {p99:.1} ms)", self.rate)
    }

    pub fn verdict(&self) -> &'static str {
        if self.has_held() { "held" } else { "broke" }
    }

    pub fn has_held(&self) -> bool {
        self.outcome == Outcome::Held
    }

    /// Cores in use by programs that have nothing to do with the search.
    pub fn other_cores(&self) -> f64 {
        self.machine_cpu_cores.map_or(0.0, |cores| (cores - self.cpu_cores.total()).max(0.0))
    }

    /// What broke; empty when nothing did.
    pub fn broken_text(&self) -> String {
        let broken: Vec<&str> = self.broken.iter().map(|broken| broken.measured.as_str()).collect();
        broken.join("; ")
    }
}

/// How far the rate of a probe is from the result, in natural logarithms.
pub fn distance(probe: &ProbeReport, result: &SearchResult) -> f64 {
    let rate = result.rate.or(result.highest_held).or(result.lowest_broken);
    rate.map_or(0.0, |rate| (probe.rate / rate).ln().abs())
}

/// The probe that held nearest to the result.
pub fn nearest_held<'a>(
    probes: impl Iterator<Item = &'a ProbeReport>,
    result: &SearchResult,
) -> Option<&'a ProbeReport> {
    let held = probes.filter(|probe| probe.has_held());
    held.min_by(|a, b| distance(a, result).total_cmp(&distance(b, result)))
}

impl FindMaxReport {
    /// Whether a rate held, and all of its orders were stored as they were sent.
    pub fn is_valid(&self) -> bool {
        self.result.highest_held.is_some() && self.audit.as_ref().is_none_or(|audit| audit.valid)
    }

    /// By rate; those of one rate in the order in which they ran.
    pub fn by_rate(&self) -> Vec<&ProbeReport> {
        let mut probes: Vec<&ProbeReport> = self.probes.iter().collect();
        probes.sort_by(|a, b| a.rate.total_cmp(&b.rate));
        probes
    }

    /// A warning when other programs took CPU from the search. Without the CPU of the servers, they can't be told from
    /// other programs.
    pub fn disturbance(&self) -> Option<String> {
        let measured = self.probes.iter().filter(|probe| probe.cpu_cores.has_servers());
        let most = measured.map(ProbeReport::other_cores).reduce(f64::max)?;
        (most > UNDISTURBED * self.machine.cores as f64).then(|| {
            format!(
                "other programs used up to {most:.2} of the {} cores during a probe: the result is that of a busy \
                 machine",
                self.machine.cores
            )
        })
    }

    /// What every probe must keep.
    pub fn required(&self) -> String {
        let always = "no growing lag, no order lost, no late producer";
        format!("{}; {always}", self.requirements.join(", "))
    }

    /// The result in a sentence, and why the search ended.
    pub fn verdict(&self) -> String {
        match self.result.end {
            SearchEnd::Found => self.headline(),
            _ => format!("{}; {}", self.headline(), self.end_text()),
        }
    }

    /// The result in a sentence.
    pub fn headline(&self) -> String {
        match &self.audit {
            Some(audit) if !audit.valid => format!("not valid, by the {audit}; {}", self.result_text()),
            _ => self.result_text(),
        }
    }

    fn result_text(&self) -> String {
        let SearchResult { rate, interval: Interval { low, high }, highest_held, lowest_broken, .. } = self.result;
        match (rate, highest_held, lowest_broken) {
            (Some(rate), ..) => format!(
                "highest rate that holds: {rate} orders a second ({low} to {high} with {:.0} % certainty)",
                100.0 * CERTAINTY
            ),
            (None, Some(held), _) => format!("at least {held} orders a second hold (no rate broke)"),
            (None, None, Some(broke)) => format!("no rate held ({broke} broke)"),
            (None, None, None) => "no rate held (no rate was probed)".to_owned(),
        }
    }

    /// Why the search ended.
    pub fn end_text(&self) -> String {
        match self.result.end {
            SearchEnd::Found => "the search is complete".to_owned(),
            SearchEnd::BudgetSpent => format!(
                "the budget of {:.0} s does not allow another probe: a longer --budget tells more",
                self.budget_seconds
            ),
            SearchEnd::HighestHeld => "the search does not try more".to_owned(),
            SearchEnd::LowestBroke => "the search does not try less".to_owned(),
            SearchEnd::Stopped => "the search was stopped".to_owned(),
            SearchEnd::Failed => "the search failed".to_owned(),
        }
    }
}
