//! A search from the first probe to the report.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use orderdb::audit::{AuditInputs, gather};
use tokio_util::sync::CancellationToken;

use super::{
    figures::ProbeFigures,
    judge::judge,
    probe::Prober,
    report::{AuditedProbe, FindMaxReport, ProbeReport, VERSION, distance, nearest_held},
    saturation::saturation,
    search::{Next, Outcome, Probe, ProbeLength, Search, SearchEnd, SearchSettings},
};
use crate::{
    bench::environment::BenchEnvironment,
    measure::machine,
    settings::{FindMaxSettings, HIGHEST_RATE, LOWEST_RATE},
};

/// Highest ratio of the ends of the last interval, minus 1.
const TOLERANCE: f64 = 0.1;
/// A short probe, as a share of a full one, and the least that a slope of the lag can be found in.
const SHORT: f64 = 0.4;
const SHORTEST: Duration = Duration::from_secs(5);
/// What a probe is expected to take beyond its length, until one has been measured.
const OVERHEAD: Duration = Duration::from_secs(6);
/// The warm-up ends when a probe of it holds, when the median latency has settled, or after this share of the budget.
const WARM_UP_SHARE: f64 = 0.4;
/// The median latency has settled when two probes lower it by no more than this share of it.
const SETTLED: f64 = 0.1;

/// A search and the probes so far.
pub struct Session<'a> {
    settings: &'a FindMaxSettings,
    prober: Prober,
    search: Search,
    started: Instant,
    started_at: DateTime<Utc>,
    budget: Duration,
    probes: Vec<(ProbeReport, ProbeFigures)>,
    end: SearchEnd,
    audit: Option<AuditedProbe>,
    error: Option<String>,
}

impl<'a> Session<'a> {
    /// A search that `started`, and whose probes end within `budget`.
    pub fn new(settings: &'a FindMaxSettings, prober: Prober, started: Instant, budget: Duration) -> Self {
        let full = settings.step;
        let search = SearchSettings {
            from: settings.from.per_second(),
            lowest: LOWEST_RATE,
            highest: HIGHEST_RATE,
            tolerance: TOLERANCE,
            short: full.mul_f64(SHORT).max(SHORTEST.min(full)),
            full,
            budget,
        };
        Self {
            settings,
            prober,
            search: Search::new(search, OVERHEAD),
            started,
            started_at: Utc::now(),
            budget,
            probes: Vec::new(),
            end: SearchEnd::Stopped,
            audit: None,
            error: None,
        }
    }

    /// Probes until the search knows its result, a program or service fails, or `stop`.
    pub async fn probe_until_done(&mut self, stop: &CancellationToken) {
        match stop.run_until_cancelled(self.probe()).await {
            Some(Ok(end)) => self.end = end,
            Some(Err(error)) => self.fail(error),
            None => self.end = SearchEnd::Stopped,
        }
    }

    /// What was found until then stays the result.
    pub fn fail(&mut self, error: anyhow::Error) {
        self.end = SearchEnd::Failed;
        self.error.get_or_insert(format!("{error:#}"));
    }

    async fn probe(&mut self) -> anyhow::Result<SearchEnd> {
        self.warm_up().await?;
        loop {
            let probe = match self.search.next(self.started.elapsed()) {
                Next::Probe(probe) => probe,
                Next::Done(result) => return Ok(result.end),
            };
            let (run_id, began) = (format!("probe-{}", self.probes.len() + 1), Instant::now());
            let (outcome, report, figures) = self.run(probe, run_id).await?;
            self.search.record(probe, outcome, began.elapsed());
            self.probes.push((report, figures));
        }
    }

    /// Brokers that have just been started are slow until their JVM has compiled its code, and consumers until their
    /// caches are filled.
    async fn warm_up(&mut self) -> anyhow::Result<()> {
        let probe = Probe { rate: self.settings.from.per_second(), length: ProbeLength::Short };
        let until = self.budget.mul_f64(WARM_UP_SHARE);
        let mut medians = Vec::new();
        loop {
            let (outcome, report, _) = self.run(probe, format!("warm-up-{}", medians.len() + 1)).await?;
            medians.push(report.stored_ms.p50);
            if outcome == Outcome::Held || has_settled(&medians) || self.started.elapsed() > until {
                return Ok(());
            }
        }
    }

    async fn run(&self, probe: Probe, run_id: String) -> anyhow::Result<(Outcome, ProbeReport, ProbeFigures)> {
        let length = self.search.length(probe.length);
        tracing::info!("{run_id}: {} orders a second for {length:?}", probe.rate);
        let figures = self.prober.run(probe, length, run_id.parse()?).await?;
        let judgement = judge(&figures, &self.prober.requirements);
        let (outcome, report) = (judgement.outcome, ProbeReport::new(run_id, &figures, judgement));
        tracing::info!("{}: {}", report.run_id, report.sentence());
        Ok((outcome, report, figures))
    }

    /// Compares ledger, topic and table of the probe that held nearest to the result.
    pub async fn audit(&mut self, environment: &BenchEnvironment, stop: &CancellationToken) {
        let result = self.search.result(self.end);
        let held = nearest_held(self.probes.iter().map(|(probe, _)| probe), &result);
        let Some(run_id) = held.map(|probe| probe.run_id.clone()) else { return };
        let audit = async {
            tracing::info!("audit: comparing run ledger, topic and table of {run_id}");
            let inputs = AuditInputs {
                run_id: run_id.parse()?,
                runs: self.prober.runs.clone(),
                stats_dir: None,
                kafka: environment.services.kafka.clone(),
            };
            gather(inputs, &environment.database).await
        };
        // On a stop, the result is printed without it.
        match stop.run_until_cancelled(audit).await {
            Some(Ok(audit)) => self.audit = Some(AuditedProbe::new(run_id, &audit)),
            Some(Err(error)) => self.fail(error.context("the audit failed")),
            None => {}
        }
    }

    pub fn report(self) -> FindMaxReport {
        let result = self.search.result(self.end);
        let machine = machine();
        let broke = self.probes.iter().filter(|(probe, _)| probe.outcome != Outcome::Held);
        let limiting = broke.min_by(|(a, _), (b, _)| distance(a, &result).total_cmp(&distance(b, &result)));
        FindMaxReport {
            version: VERSION,
            name: self.prober.lag.group.clone(),
            folder: self.prober.runs.runs_dir.clone(),
            started_at: self.started_at,
            seconds: self.started.elapsed().as_secs_f64(),
            budget_seconds: self.settings.budget.as_secs_f64(),
            consumers: self.settings.consumers,
            requirements: self.prober.requirements.iter().map(ToString::to_string).collect(),
            result,
            saturation: limiting.map(|(_, figures)| saturation(figures, self.prober.cores)),
            machine,
            audit: self.audit,
            error: self.error,
            probes: self.probes.into_iter().map(|(report, _)| report).collect(),
        }
    }
}

fn has_settled(medians: &[f64]) -> bool {
    let lowest = |medians: &[f64]| medians.iter().copied().fold(f64::INFINITY, f64::min);
    let (before, last) = medians.split_at(medians.len().saturating_sub(2));
    !before.is_empty() && lowest(last) >= lowest(before) * (1.0 - SETTLED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_warm_up_goes_on_for_as_long_as_one_of_two_probes_is_faster() {
        let medians = [171.0, 148.0, 125.0, 131.0, 109.0, 105.0, 103.0];
        let settled: Vec<bool> = (0..=medians.len()).map(|probes| has_settled(&medians[..probes])).collect();
        assert_eq!(settled, [false, false, false, false, false, false, false, true]);
    }
}
