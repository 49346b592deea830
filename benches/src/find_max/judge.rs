//! Judges a probe: which requirements broke, and how sure that is.

use serde::Serialize;
use shared::{
    ledger::Verdict,
    requirement::{MeasuredBy, Metric, Requirement, RequirementResult},
};

use super::{
    figures::{ProbeEnd, ProbeFigures},
    lag_growth::{LagGrowth, LagVerdict},
    search::Outcome,
};

/// Below this share of the rate, the producer or the brokers can't keep up, whatever the noise.
const CONCLUSIVE_RATE: f64 = 0.95;

/// The judgement of a probe.
#[derive(Clone, Debug, Serialize)]
pub struct Judgement {
    pub outcome: Outcome,
    /// What broke, the most conclusive first.
    pub broken: Vec<Broken>,
    pub requirements: Vec<RequirementResult>,
    /// `None` when the probe was too short for a slope.
    pub lag: Option<LagGrowth>,
}

/// A requirement that broke.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Broken {
    pub cause: Cause,
    /// What was measured, such as `stored p99 < 250ms: 312.000 ms`.
    pub measured: String,
    /// Whether no stall of the machine explains it.
    pub is_conclusive: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// A requirement with a limit.
    Requirement,
    /// Ever more orders were due and not stored.
    Backlog,
    Lag,
    /// Orders were lost, failed or not stored.
    Lost,
    Generator,
    Brokers,
}

/// Judges the figures by `requirements`, and by what every probe must keep: the lag does not grow, all orders are
/// stored, the producer is not late and the brokers accept what it sends.
pub fn judge(figures: &ProbeFigures, requirements: &[Requirement]) -> Judgement {
    let lag = LagGrowth::of(&figures.lag, figures.probe.rate);
    let results = check(figures, requirements);
    let mut broken: Vec<Broken> = results.iter().filter(|result| !result.met).map(broken_requirement).collect();
    broken.extend(broken_backlog(figures));
    broken.extend(broken_lag(figures, lag));
    broken.extend(broken_counts(figures));
    broken.extend(broken_rate(figures));
    broken.sort_by_key(|broken| !broken.is_conclusive);
    let outcome = match broken.first() {
        Some(Broken { is_conclusive: true, .. }) => Outcome::Broke,
        Some(_) => Outcome::BrokeNarrowly,
        None => Outcome::Held,
    };
    Judgement { outcome, broken, requirements: results, lag }
}

/// Whether a probe measures the metric of a requirement.
pub fn is_measured(requirement: &Requirement) -> bool {
    let measured = [Metric::Stored, Metric::Missing, Metric::Lag];
    requirement.measured_by() == MeasuredBy::Producer || measured.contains(&requirement.metric())
}

/// The results in the order of `requirements`. The producer has checked its own.
fn check(figures: &ProbeFigures, requirements: &[Requirement]) -> Vec<RequirementResult> {
    let mut of_producer = figures.summary.requirements.iter().cloned();
    let result = |requirement: &Requirement| match requirement.metric() {
        Metric::Stored => {
            let percentile = requirement.percentile();
            requirement.check(percentile.and_then(|percentile| figures.stored.at_quantile(percentile.quantile())))
        }
        Metric::Missing => requirement.check(Some(figures.missing as f64)),
        Metric::Lag => requirement.check(figures.lag.iter().map(|(_, records)| *records).reduce(f64::max)),
        _ => of_producer.next().unwrap_or_else(|| requirement.check(None)),
    };
    requirements.iter().map(result).collect()
}

fn broken_requirement(result: &RequirementResult) -> Broken {
    let measured = format!("{}: {}", result.requirement, result.measured_text());
    Broken { cause: Cause::Requirement, measured, is_conclusive: false }
}

/// What stopped the probe early.
fn broken_backlog(figures: &ProbeFigures) -> Option<Broken> {
    let backlog = figures.backlog?;
    let measured = format!(
        "stopped early, {:.1} s behind and ever more: {:.0} orders due and not acknowledged, lag {:.0} records",
        backlog.total() / figures.probe.rate,
        backlog.unacknowledged,
        backlog.lag
    );
    Some(Broken { cause: Cause::Backlog, measured, is_conclusive: true })
}

fn broken_lag(figures: &ProbeFigures, lag: Option<LagGrowth>) -> Option<Broken> {
    let broken = |measured, is_conclusive| Some(Broken { cause: Cause::Lag, measured, is_conclusive });
    if figures.end == ProbeEnd::NotDrained {
        return broken("the lag was not worked off in time".to_owned(), true);
    }
    let lag = lag?;
    let is_conclusive = match lag.verdict {
        LagVerdict::Steady | LagVerdict::Unclear => return None,
        LagVerdict::Grows => false,
        LagVerdict::GrowsFast => true,
    };
    let LagGrowth { slope, standard_error, share_of_rate, .. } = lag;
    let percent = share_of_rate * 100.0;
    broken(
        format!("the lag grows by {slope:.0} ± {standard_error:.0} records a second, {percent:.1} % of the rate"),
        is_conclusive,
    )
}

fn broken_counts(figures: &ProbeFigures) -> Option<Broken> {
    let counts = figures.summary.counts;
    let parts = [
        // Orders that are still waiting are not lost.
        (if figures.end == ProbeEnd::NotDrained { 0 } else { figures.missing }, "acknowledged and not stored"),
        (counts.failed + figures.summary.warm_up.failed, "failed"),
        (figures.summary.unknown(), "of unknown outcome"),
    ];
    let lost: Vec<String> = parts.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    let measured = format!("orders {}", lost.join(", "));
    (!lost.is_empty()).then_some(Broken { cause: Cause::Lost, measured, is_conclusive: false })
}

fn broken_rate(figures: &ProbeFigures) -> Option<Broken> {
    // The producer of a probe that was stopped early is judged by what it had to send until then.
    let asked = figures.probe.rate;
    let (cause, what) = match figures.summary.verdict {
        Verdict::GeneratorLimited => (Cause::Generator, "the producer was late"),
        Verdict::BrokerLimited => (Cause::Brokers, "the brokers acknowledged late"),
        Verdict::Valid | Verdict::Lossy | Verdict::RequirementNotMet => return None,
    };
    let achieved = figures.summary.rate_achieved;
    let lateness = figures.summary.lateness_ms.p99;
    let measured = format!("{what}: {achieved:.0} of {asked:.0} orders a second, lateness p99 {lateness:.0} ms");
    Some(Broken { cause, measured, is_conclusive: achieved < CONCLUSIVE_RATE * asked })
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            figures::Backlog,
            tests::{figures, with_lag},
        },
        *,
    };

    fn requirements(texts: &[&str]) -> Vec<Requirement> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn outcome(figures: &ProbeFigures) -> (Outcome, Vec<Cause>) {
        let judgement = judge(figures, &requirements(&["stored p99 < 250ms"]));
        (judgement.outcome, judgement.broken.into_iter().map(|broken| broken.cause).collect())
    }

    #[test]
    fn a_latency_is_judged_by_its_limit() {
        assert_eq!(outcome(&figures(1_000.0, 240)), (Outcome::Held, vec![]));
        assert_eq!(outcome(&figures(1_000.0, 260)), (Outcome::BrokeNarrowly, vec![Cause::Requirement]));
        let judgement = judge(&figures(1_000.0, 260), &requirements(&["stored p99 < 250ms"]));
        assert!(judgement.broken[0].measured.starts_with("stored p99 < 250ms: 260"), "{judgement:?}");
    }

    #[test]
    fn a_lag_that_grows_breaks_a_probe_and_by_more_than_5_per_cent_conclusively() {
        let lag = |growth: f64| with_lag(figures(1_000.0, 20), growth);
        assert_eq!(outcome(&lag(0.0)), (Outcome::Held, vec![]));
        assert_eq!(outcome(&lag(0.03)), (Outcome::BrokeNarrowly, vec![Cause::Lag]));
        assert_eq!(outcome(&lag(0.5)), (Outcome::Broke, vec![Cause::Lag]));
        let backlog = Some(Backlog { unacknowledged: 100.0, lag: 2_400.0 });
        let stopped = ProbeFigures { end: ProbeEnd::Overloaded, backlog, ..lag(0.0) };
        assert_eq!(outcome(&stopped), (Outcome::Broke, vec![Cause::Backlog]));
        let measured = &judge(&stopped, &[]).broken[0].measured;
        assert!(measured.contains("2.5 s behind") && measured.contains("lag 2400 records"), "{measured}");
        let waiting = ProbeFigures { end: ProbeEnd::NotDrained, missing: 500, ..lag(0.0) };
        assert_eq!(outcome(&waiting), (Outcome::Broke, vec![Cause::Lag]));
    }

    #[test]
    fn a_lost_order_and_a_late_producer_break_a_probe_whatever_its_latencies_are() {
        let lost = ProbeFigures { missing: 1, ..figures(1_000.0, 20) };
        assert_eq!(outcome(&lost), (Outcome::BrokeNarrowly, vec![Cause::Lost]));
        let mut late = figures(1_000.0, 20);
        late.summary.verdict = Verdict::GeneratorLimited;
        late.summary.rate_achieved = 990.0;
        assert_eq!(outcome(&late), (Outcome::BrokeNarrowly, vec![Cause::Generator]));
        late.summary.rate_achieved = 600.0;
        late.summary.verdict = Verdict::BrokerLimited;
        assert_eq!(outcome(&late), (Outcome::Broke, vec![Cause::Brokers]));
    }

    #[test]
    fn the_results_of_the_producer_are_taken_over_in_their_order() {
        let mut figures = figures(1_000.0, 20);
        let all = requirements(&["ack p99 < 50ms", "missing = 0", "stall < 1s", "lag < 10"]);
        figures.summary.requirements = vec![all[0].check(Some(70.0)), all[2].check(Some(100.0))];
        figures.lag = vec![(1.0, 3.0), (2.0, 9.0), (3.0, 4.0)];
        let judgement = judge(&figures, &all);
        let met: Vec<bool> = judgement.requirements.iter().map(|result| result.met).collect();
        assert_eq!((met, judgement.requirements[3].measured), (vec![false, true, true, true], Some(9.0)));
        figures.summary.requirements.clear();
        let not_measured = judge(&figures, &all).requirements;
        assert!(!not_measured[0].met && not_measured[0].measured.is_none());
        assert!(all.iter().all(is_measured) && !is_measured(&"altered = 0".parse().unwrap()));
    }
}
