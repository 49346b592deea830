//! Searches on pipelines whose capacity is known, with noise and without.

use std::time::Duration;

use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::*;

const SETTINGS: SearchSettings = SearchSettings {
    from: 500.0,
    lowest: 1.0,
    highest: 1e6,
    tolerance: 0.05,
    short: Duration::from_secs(7),
    full: Duration::from_secs(20),
    budget: Duration::from_secs(3_600),
};
const OVERHEAD: Duration = Duration::from_secs(3);

/// A pipeline that holds up to `capacity`, as probes see it.
struct Pipeline {
    capacity: f64,
    /// Standard deviation of a full probe, relative to the rate. That of a short one is twice as much.
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
        let noise = if probe.length == ProbeLength::Short { 2.0 * self.noise } else { self.noise };
        match (probe.rate / self.capacity).ln() + noise * normal {
            load if load < -0.1 => Outcome::Held,
            load if load < 0.0 => Outcome::HeldNarrowly,
            load if load < 0.1 => Outcome::BrokeNarrowly,
            _ => Outcome::Broke,
        }
    }
}

/// The result, the number of probes, and the time they took.
fn run(settings: SearchSettings, mut pipeline: Pipeline) -> (SearchResult, usize, Duration) {
    let (mut search, mut elapsed) = (Search::new(settings, OVERHEAD), Duration::ZERO);
    for probes in 0..200 {
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

proptest! {
    #[test]
    fn without_noise_the_capacity_is_within_the_tolerance(capacity in 2.0..900_000.0_f64, from in 1.0..50_000.0_f64) {
        let (result, probes, _) = run(SearchSettings { from, ..SETTINGS }, Pipeline::new(capacity, 0.0, 0.0, 0));
        prop_assert_eq!(result.end, SearchEnd::Found);
        let (held, broken) = (result.highest_held.unwrap(), result.lowest_broken.unwrap());
        prop_assert!(held <= capacity && capacity <= broken, "{:?}", result);
        prop_assert!(broken / held <= 1.05 + 1e-9 && result.is_confirmed, "{:?}", result);
        prop_assert!(probes <= 21 + 4 + 4, "{} probes", probes);
    }

    #[test]
    fn with_any_noise_the_search_ends_and_stays_within_its_budget(
        capacity in 0.5..2e6_f64,
        noise in 0.0..1.0_f64,
        stalls in 0.0..0.5_f64,
        seed in any::<u64>(),
        budget in 1..900_u64,
    ) {
        let budget = Duration::from_secs(budget);
        let (result, _, elapsed) =
            run(SearchSettings { budget, ..SETTINGS }, Pipeline::new(capacity, noise, stalls, seed));
        prop_assert!(elapsed <= budget);
        if let (Some(held), Some(broken)) = (result.highest_held, result.lowest_broken) {
            prop_assert!(held < broken, "{:?}", result);
        }
        let (unlimited, ..) = run(SETTINGS, Pipeline::new(capacity, noise, stalls, seed));
        prop_assert!(unlimited.end != SearchEnd::BudgetSpent, "{:?}", unlimited);
    }
}

#[test]
fn with_noise_and_stalls_the_result_is_within_7_per_cent_of_the_capacity_in_96_of_100_searches() {
    for (noise, stalls) in [(0.02, 0.0), (0.0, 0.05), (0.02, 0.05)] {
        let results = (0..1_000).map(|seed| {
            let capacity = 700.0 * 1.007_f64.powi(seed);
            run(SETTINGS, Pipeline::new(capacity, noise, stalls, seed as u64)).0.highest_held.unwrap() / capacity
        });
        let close = results.filter(|ratio| (0.93..1.07).contains(ratio)).count();
        assert!(close >= 960, "noise {noise}, stalls {stalls}: {close} of 1000");
    }
}

#[test]
fn five_minutes_are_enough_for_a_capacity_64_times_the_first_rate_and_less_time_gives_a_lower_bound() {
    let settings = |seconds| SearchSettings { budget: Duration::from_secs(seconds), ..SETTINGS };
    let (result, _, elapsed) = run(settings(300), Pipeline::new(32_100.0, 0.0, 0.0, 0));
    assert!(result.end == SearchEnd::Found && elapsed <= Duration::from_secs(300), "{result:?} {elapsed:?}");
    let (result, ..) = run(settings(60), Pipeline::new(32_100.0, 0.0, 0.0, 0));
    assert_eq!((result.end, result.highest_held), (SearchEnd::BudgetSpent, Some(16_000.0)));
    assert!(!result.is_confirmed && result.lowest_broken.is_none(), "{result:?}");
    let (result, ..) = run(settings(5), Pipeline::new(32_100.0, 0.0, 0.0, 0));
    assert_eq!((result.end, result.highest_held), (SearchEnd::BudgetSpent, None));
}

#[test]
fn one_stall_during_the_growth_does_not_lower_the_result() {
    let mut search = Search::new(SETTINGS, OVERHEAD);
    let (mut pipeline, mut stalled) = (Pipeline::new(20_000.0, 0.0, 0.0, 0), false);
    while let Next::Probe(probe) = search.next(Duration::ZERO) {
        let stalls = !stalled && probe.rate == 2_000.0;
        stalled |= stalls;
        let outcome = if stalls { Outcome::BrokeNarrowly } else { pipeline.probe(probe) };
        search.record(probe, outcome, Duration::ZERO);
    }
    let held = search.result(SearchEnd::Found).highest_held.unwrap();
    assert!(stalled && (19_000.0..=20_000.0).contains(&held), "{held}");
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
    assert_eq!((result.end, result.highest_held), (SearchEnd::HighestHeld, Some(3_000.0)));
    let (result, ..) = run(settings, Pipeline::new(1.0, 0.0, 0.0, 0));
    assert_eq!((result.end, result.highest_held, result.lowest_broken), (SearchEnd::LowestBroke, None, Some(10.0)));
}
