//! What the probes tell about the highest rate that holds: a probability for each rate, by Bayes' rule.
//!
//! A probe near the highest rate holds or breaks partly by chance. The chance that it holds is a logistic function of the
//! logarithm of its rate, as in QUEST (Watson and Pelli 1983), with a steepness that is not known either: the
//! probabilities are of pairs of a rate and a steepness. A stall of the machine may break a probe at any rate.

use super::model::{Outcome, Probe, ProbeLength};

/// Distance of two rates, in natural logarithms: 1 %.
const STEP: f64 = 0.01;
/// The rates go beyond the lowest and the highest probe by this factor, in natural logarithms.
const MARGIN: f64 = 1.0;
/// Standard deviations of the noise of a full probe, relative to the rate. Before the first probe, all are as likely.
const NOISES: [f64; 4] = [0.02, 0.05, 0.1, 0.2];
/// The noise of a short probe is so many times that of a full one.
const SHORT_NOISE: f64 = 1.5;
/// A logistic function of 1.702 x is within 0.01 of the normal distribution.
const LOGISTIC: f64 = 1.702;
/// The probability that a stall breaks a probe that would hold.
const STALL: f64 = 0.05;
/// The probability of what can't be: that an overloaded probe is below the highest rate, or that one holds far above it.
const ERROR: f64 = 0.001;

/// The probability of each rate to be the highest that holds.
#[derive(Clone, Debug)]
pub(super) struct Posterior {
    /// Logarithm of the first rate.
    first: f64,
    /// By rate and noise: a probability that is not normalised.
    weights: Vec<[f64; NOISES.len()]>,
    /// By rate: the sum of all weights up to it.
    cumulative: Vec<f64>,
}

impl Posterior {
    /// All rates from `lowest` to `highest` are as likely, on a logarithmic scale.
    pub fn new(lowest: f64, highest: f64) -> Self {
        let first = lowest.ln() - MARGIN;
        let rates = ((highest.ln() + MARGIN - first) / STEP).ceil() as usize + 1;
        let weights = vec![[1.0; NOISES.len()]; rates];
        Self { first, cumulative: cumulative(&weights), weights }
    }

    pub fn observe(&mut self, probe: Probe, outcome: Outcome) {
        let (probed, mut highest) = (probe.rate.ln(), 0.0_f64);
        for (index, weights) in self.weights.iter_mut().enumerate() {
            let above = self.first + index as f64 * STEP - probed;
            for (weight, noise) in weights.iter_mut().zip(NOISES) {
                *weight *= likelihood(above, noise, probe.length, outcome);
                highest = highest.max(*weight);
            }
        }
        // Else the product of many probes is too small for a floating-point number.
        self.weights.iter_mut().flatten().for_each(|weight| *weight /= highest);
        self.cumulative = cumulative(&self.weights);
    }

    /// The rate that is not below the highest one that holds, with this probability.
    pub fn quantile(&self, probability: f64) -> f64 {
        let total = self.cumulative.last().copied().unwrap_or_default();
        let index = self.cumulative.partition_point(|below| *below < probability * total);
        (self.first + index as f64 * STEP).exp()
    }
}

fn cumulative(weights: &[[f64; NOISES.len()]]) -> Vec<f64> {
    let mut sum = 0.0;
    let add = |weights: &[f64; NOISES.len()]| {
        sum += weights.iter().sum::<f64>();
        sum
    };
    weights.iter().map(add).collect()
}

/// The probability of `outcome` when the highest rate is `above` that of the probe, in natural logarithms.
fn likelihood(above: f64, noise: f64, length: ProbeLength, outcome: Outcome) -> f64 {
    let noise = if length == ProbeLength::Short { SHORT_NOISE * noise } else { noise };
    let holds = ERROR + (1.0 - 2.0 * ERROR) / (1.0 + (-LOGISTIC * above / noise).exp());
    match outcome {
        Outcome::Held => (1.0 - STALL) * holds,
        Outcome::BrokeNarrowly => 1.0 - (1.0 - STALL) * holds,
        Outcome::Broke => 1.0 - holds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(probes: &[(f64, ProbeLength, Outcome)]) -> [f64; 3] {
        let mut posterior = Posterior::new(1.0, 1e6);
        for (rate, length, outcome) in probes.iter().copied() {
            posterior.observe(Probe { rate, length }, outcome);
        }
        [0.05, 0.5, 0.95].map(|probability| posterior.quantile(probability))
    }

    #[test]
    fn without_a_probe_all_rates_are_as_likely_on_a_logarithmic_scale() {
        let [low, middle, high] = after(&[]);
        assert!((middle / 1_000.0 - 1.0).abs() < 0.02 && low < 1.0 && high > 300_000.0, "{low} {middle} {high}");
    }

    #[test]
    fn the_highest_rate_is_between_one_that_held_and_one_that_was_overloaded() {
        use ProbeLength::{Full, Short};
        let short = after(&[(1_000.0, Short, Outcome::Held), (2_000.0, Short, Outcome::Broke)]);
        let [low, middle, high] = short;
        assert!(900.0 < low && 1_300.0 < middle && middle < 1_550.0 && high < 2_200.0, "{short:?}");
        let full = after(&[(1_000.0, Full, Outcome::Held), (2_000.0, Full, Outcome::Broke)]);
        assert!(full[2] / full[0] < high / low, "a full probe tells more: {full:?}, {short:?}");
    }

    #[test]
    fn many_probes_that_contradict_each_other_narrow_the_interval() {
        let at = |rate: f64, outcome| (rate, ProbeLength::Full, outcome);
        let few = vec![
            at(2_000.0, Outcome::Broke),
            at(900.0, Outcome::Held),
            at(1_100.0, Outcome::BrokeNarrowly),
            at(900.0, Outcome::BrokeNarrowly),
            at(1_100.0, Outcome::Held),
        ];
        let width = |probes: &[_]| {
            let [low, middle, high] = after(probes);
            assert!((850.0..1_300.0).contains(&middle), "{probes:?}: {middle}");
            high / low
        };
        let (few, many) = (width(&few), width(&few.repeat(10)));
        assert!(many < 1.2 && 1.5 < few, "{few} {many}");
    }

    #[test]
    fn one_stall_does_not_rule_out_what_is_above_it_and_an_overload_does() {
        let highest = |outcome| after(&[(300.0, ProbeLength::Short, outcome)])[2];
        let (stall, overload) = (highest(Outcome::BrokeNarrowly), highest(Outcome::Broke));
        assert!(stall > 1_000.0 && overload < 500.0, "{stall} {overload}");
    }
}
