//! Searches on pipelines whose capacity is known, with noise and without.

use std::time::Duration;

use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::*;

const SETTINGS: SearchSettings = SearchSettings {
    from: 500.0,
    lowest: 1.0,
    highest: 1e6,
    tolerance: 0.1,
    short: Duration::from_secs(7),
    full: Duration::from_secs(20),
    budget: Duration::from_secs(3_600),
};
const OVERHEAD: Duration = Duration::from_secs(3);

/// A pipeline that holds up to `capacity`, as probes see it.
struct Pipeline {
    capacity: f64,
    /// Standard deviation of a full probe, relative to the rate. That of a short one is half as much again.
    noise: f64,
    /// Share of the probes in which the machine stalls.
    stalls: f64,
    random: StdRng,
}

impl Pipeline {
    fn new(capacity: f64, noise: f64, stalls: f64, seed: u64) -> Self {
        Self { capacity, noise, stalls, random: StdRng::seed_from_u64(seed) }
    }

    fn probe(&mut self, probe: Probe) -> Outcome {
        if self.random.random::<f64>() < self.stalls {
            return Outcome::BrokeNarrowly;
        }
        // The sum of twelve uniform numbers is close to a normal distribution.
        let normal: f64 = (0..12).map(|_| self.random.random::<f64>()).sum::<f64>() - 6.0;
        let noise = if probe.length == ProbeLength::Short { 1.5 * self.noise } else { self.noise };
        match (probe.rate / self.capacity).ln() + noise * normal {
            load if load < 0.0 => Outcome::Held,
            load if load < 0.25 => Outcome::BrokeNarrowly,
            _ => Outcome::Broke,
        }
    }
}

/// The result, the number of probes, and the time they took.
fn run(settings: SearchSettings, mut pipeline: Pipeline) -> (SearchResult, usize, Duration) {
    let (mut search, mut elapsed) = (Search::new(settings, OVERHEAD), Duration::ZERO);
    for probes in 0..1_000 {
        match search.next(elapsed) {
            Next::Done(result) => return (result, probes, elapsed),
            Next::Probe(probe) => {
                assert!((settings.lowest..=settings.highest).contains(&probe.rate), "{probe:?}");
                let took = search.length(probe.length) + OVERHEAD;
                search.record(probe, pipeline.probe(probe), took);
                elapsed += took;
            }
        }
    }
    panic!("the search does not end: {search:?}");
}

fn with_budget(seconds: u64) -> SearchSettings {
    SearchSettings { budget: Duration::from_secs(seconds), ..SETTINGS }
}

proptest! {
    #[test]
    fn without_noise_the_capacity_is_found_within_5_per_cent(capacity in 2.0..900_000.0_f64, from in 1.0..50_000.0_f64) {
        let (result, probes, _) = run(SearchSettings { from, ..SETTINGS }, Pipeline::new(capacity, 0.0, 0.0, 0));
        prop_assert_eq!(result.end, SearchEnd::Found);
        let (rate, Interval { low, high }) = (result.rate.unwrap(), result.interval);
        prop_assert!((rate / capacity - 1.0).abs() < 0.05, "{:?}", result);
        prop_assert!(low <= rate && rate <= high && high <= 1.1 * low, "{:?}", result);
        prop_assert!(probes <= 20 + 40, "{} probes", probes);
    }

    #[test]
    fn with_any_noise_the_search_ends_and_stays_within_its_budget(
        capacity in 0.5..2e6_f64,
        noise in 0.0..1.0_f64,
        stalls in 0.0..0.5_f64,
        seed in any::<u64>(),
        budget in 1..900_u64,
    ) {
        let (result, _, elapsed) = run(with_budget(budget), Pipeline::new(capacity, noise, stalls, seed));
        prop_assert!(elapsed <= Duration::from_secs(budget));
        let Interval { low, high } = result.interval;
        prop_assert!(low <= high && result.rate.is_none_or(|rate| low <= rate && rate <= high), "{:?}", result);
    }
}

/// The results of searches of five minutes, relative to the capacity.
fn ratios(noise: f64, stalls: f64) -> Vec<f64> {
    let ratio = |seed| {
        let capacity = 3_000.0 * 1.007_f64.powi(seed);
        run(with_budget(270), Pipeline::new(capacity, noise, stalls, seed as u64)).0.rate.unwrap() / capacity
    };
    (0..150).map(ratio).collect()
}

#[test]
fn three_searches_of_five_minutes_are_within_15_per_cent() {
    for (noise, stalls, least) in [(0.02, 0.02, 49), (0.05, 0.02, 47), (0.08, 0.02, 42), (0.02, 0.1, 39)] {
        let close = |three: &&[f64]| {
            three.iter().copied().fold(0.0, f64::max) <= 1.15 * three.iter().copied().fold(f64::INFINITY, f64::min)
        };
        let close = ratios(noise, stalls).chunks(3).filter(close).count();
        assert!(close >= least, "noise {noise}, stalls {stalls}: {close} of 50");
    }
}

#[test]
fn the_capacity_is_within_the_interval_as_often_as_it_says() {
    for noise in [0.0, 0.02, 0.05, 0.1] {
        let contains = |seed: &i32| {
            let capacity = 3_000.0 * 1.007_f64.powi(*seed);
            let result = run(with_budget(270), Pipeline::new(capacity, noise, 0.02, *seed as u64)).0;
            (result.interval.low..=result.interval.high).contains(&capacity)
        };
        let within = (0..150).filter(contains).count();
        assert!(within >= 126, "noise {noise}: {within} of 150");
    }
}

#[test]
fn five_minutes_are_enough_for_a_capacity_64_times_the_first_rate_and_less_time_gives_a_lower_bound() {
    let search = |seconds| run(with_budget(seconds), Pipeline::new(32_100.0, 0.0, 0.0, 0)).0;
    let result = search(270);
    assert!((result.rate.unwrap() / 32_100.0 - 1.0).abs() < 0.05, "{result:?}");
    let result = search(60);
    let known = (result.end, result.rate, result.highest_held, result.lowest_broken);
    assert_eq!(known, (SearchEnd::BudgetSpent, None, Some(16_000.0), None));
    assert_eq!(search(5).highest_held, None);
}

#[test]
fn one_stall_during_the_growth_does_not_lower_the_result() {
    let mut search = Search::new(with_budget(300), OVERHEAD);
    let (mut pipeline, mut stalled) = (Pipeline::new(20_000.0, 0.0, 0.0, 0), false);
    let mut elapsed = Duration::ZERO;
    while let Next::Probe(probe) = search.next(elapsed) {
        let stalls = !stalled && probe.rate == 2_000.0;
        stalled |= stalls;
        let outcome = if stalls { Outcome::BrokeNarrowly } else { pipeline.probe(probe) };
        let took = search.length(probe.length) + OVERHEAD;
        search.record(probe, outcome, took);
        elapsed += took;
    }
    let rate = search.result(SearchEnd::Found).rate.unwrap();
    assert!(stalled && (18_000.0..22_000.0).contains(&rate), "{rate}");
}

#[test]
fn rates_between_others_are_printed_with_three_digits() {
    for (rate, expected) in
        [(22_627.4, "22600"), (1_414.2, "1410"), (3.16227, "3.16"), (70.71, "70.7"), (999.6, "1000")]
    {
        assert_eq!(rounded(rate).to_string(), expected);
    }
}

#[test]
fn a_pipeline_that_never_breaks_or_never_holds_ends_at_the_bounds() {
    let settings = SearchSettings { lowest: 10.0, highest: 3_000.0, ..SETTINGS };
    let (result, ..) = run(settings, Pipeline::new(1e9, 0.0, 0.0, 0));
    let known = (result.end, result.rate, result.highest_held, result.lowest_broken);
    assert_eq!(known, (SearchEnd::HighestHeld, None, Some(3_000.0), None));
    let (result, ..) = run(settings, Pipeline::new(1.0, 0.0, 0.0, 0));
    let known = (result.end, result.rate, result.highest_held, result.lowest_broken);
    assert_eq!(known, (SearchEnd::LowestBroke, None, None, Some(10.0)));
}
