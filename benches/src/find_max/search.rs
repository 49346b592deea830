//! Which rate to try next: a function of the results so far and of the time, without a clock, a program or a random
//! number.
//!
//! The rate doubles until a probe breaks, then the interval between the highest rate that held and the lowest that broke
//! is halved on a logarithmic scale. Probes are noisy: one may break at a rate that holds otherwise, and the other way
//! round. So each result is provisional until its rate is one end of the last interval. There it must be confirmed: by a
//! conclusive probe of full length, or by more probes than contradict it. A result that is overturned widens the
//! interval again, to the next result of its kind.

use std::time::Duration;

use serde::Serialize;

/// Growth until the first probe that breaks.
const GROWTH: f64 = 2.0;
/// The interval in which probes of full length begin. In a wider one, short probes find the way.
const NARROW: f64 = 1.5;
/// Probes of one rate after which the majority decides.
const MAX_REPEATS: usize = 3;

#[derive(Clone, Copy, Debug)]
pub struct SearchSettings {
    /// Orders per second of the first probe.
    pub from: f64,
    /// The search stays between these rates.
    pub lowest: f64,
    pub highest: f64,
    /// The ratio of the ends of the last interval, minus 1.
    pub tolerance: f64,
    /// Lengths of a short and a full probe.
    pub short: Duration,
    pub full: Duration,
    /// Time for all probes.
    pub budget: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeLength {
    Short,
    Full,
}

/// What to run next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probe {
    pub rate: f64,
    pub length: ProbeLength,
}

/// Whether all requirements held at a rate, and how sure that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Held,
    /// A figure was close to its limit.
    HeldNarrowly,
    /// It may hold when it is tried again: a stall of the machine looks like this.
    BrokeNarrowly,
    /// It can't hold: less was stored than was due, for seconds.
    Broke,
}

impl Outcome {
    pub fn held(self) -> bool {
        matches!(self, Self::Held | Self::HeldNarrowly)
    }

    fn is_narrow(self) -> bool {
        matches!(self, Self::HeldNarrowly | Self::BrokeNarrowly)
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Next {
    Probe(Probe),
    Done(SearchResult),
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SearchResult {
    pub end: SearchEnd,
    /// The highest rate that held. `None` when none did.
    pub highest_held: Option<f64>,
    /// Whether that is confirmed, and not the result of one short or narrow probe.
    pub is_confirmed: bool,
    /// The lowest rate that broke. `None` when none did.
    pub lowest_broken: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SearchEnd {
    /// The interval is as narrow as asked, and both its ends are confirmed.
    Found,
    /// There is no time for another probe.
    BudgetSpent,
    /// The highest rate that is allowed holds.
    HighestHeld,
    /// The lowest rate that is allowed breaks.
    LowestBroke,
    /// The user stopped the search.
    Stopped,
}

/// The results so far.
#[derive(Clone, Debug)]
pub struct Search {
    settings: SearchSettings,
    /// By rate, ascending.
    rates: Vec<RateResults>,
    /// The longest time that a probe took beyond its length: its start, its warm-up, and the wait until all is stored.
    overhead: Duration,
}

#[derive(Clone, Debug)]
struct RateResults {
    rate: f64,
    probes: usize,
    /// Sum of the votes: positive when the rate holds.
    score: i32,
}

impl RateResults {
    /// A tie counts as broken: the result must be a rate that holds.
    fn held(&self) -> bool {
        self.score > 0
    }

    fn is_open(&self) -> bool {
        self.score == 0 && self.probes < MAX_REPEATS
    }

    fn is_confirmed(&self) -> bool {
        self.score.abs() >= 2 || self.probes >= MAX_REPEATS
    }
}

impl Search {
    /// `overhead` is what the first probe is expected to take beyond its length.
    pub fn new(settings: SearchSettings, overhead: Duration) -> Self {
        Self { settings, rates: Vec::new(), overhead }
    }

    /// Adds the result of a probe that took `took`, from its start until the next one could start.
    pub fn record(&mut self, probe: Probe, outcome: Outcome, took: Duration) {
        self.overhead = self.overhead.max(took.saturating_sub(self.length(probe.length)));
        let weight = if outcome.is_narrow() || probe.length == ProbeLength::Short { 1 } else { 2 };
        let vote = if outcome.held() { weight } else { -weight };
        let at = self.rates.partition_point(|results| results.rate < probe.rate);
        match self.rates.get_mut(at).filter(|results| results.rate == probe.rate) {
            Some(results) => {
                results.probes += 1;
                results.score += vote;
            }
            None => self.rates.insert(at, RateResults { rate: probe.rate, probes: 1, score: vote }),
        }
    }

    /// The next probe, when it can end within the budget, of which `elapsed` is spent.
    pub fn next(&self, elapsed: Duration) -> Next {
        let probe = match self.wanted() {
            Next::Probe(probe) => probe,
            done => return done,
        };
        let fits = |length: ProbeLength| elapsed + self.length(length) + self.overhead <= self.settings.budget;
        match [probe.length, ProbeLength::Short].into_iter().find(|length| fits(*length)) {
            Some(length) => Next::Probe(Probe { length, ..probe }),
            None => Next::Done(self.result(SearchEnd::BudgetSpent)),
        }
    }

    /// The best result so far, for a search that ends now.
    pub fn result(&self, end: SearchEnd) -> SearchResult {
        let (lower, upper) = self.interval();
        SearchResult {
            end,
            highest_held: lower.map(|lower| lower.rate),
            is_confirmed: lower.is_some_and(RateResults::is_confirmed),
            lowest_broken: upper.map(|upper| upper.rate),
        }
    }

    pub fn length(&self, length: ProbeLength) -> Duration {
        match length {
            ProbeLength::Short => self.settings.short,
            ProbeLength::Full => self.settings.full,
        }
    }

    /// The lowest rate that broke, and the highest that held below it.
    fn interval(&self) -> (Option<&RateResults>, Option<&RateResults>) {
        let upper = self.rates.iter().position(|results| !results.held());
        let below = &self.rates[..upper.unwrap_or(self.rates.len())];
        (below.last(), upper.map(|upper| &self.rates[upper]))
    }

    /// The next probe if time were no matter.
    fn wanted(&self) -> Next {
        let SearchSettings { from, lowest, highest, tolerance, .. } = self.settings;
        let short = |rate: f64| Next::Probe(Probe { rate, length: ProbeLength::Short });
        let full = |rate: f64| Next::Probe(Probe { rate, length: ProbeLength::Full });
        if let Some(open) = self.rates.iter().find(|results| results.is_open()) {
            return full(open.rate);
        }
        match self.interval() {
            (None, None) => short(from.clamp(lowest, highest)),
            (Some(lower), None) if lower.rate < highest => short((lower.rate * GROWTH).min(highest)),
            (None, Some(upper)) if upper.rate > lowest => short((upper.rate / GROWTH).max(lowest)),
            (Some(lower), Some(upper)) if upper.rate > lower.rate * (1.0 + tolerance) => {
                let is_wide = upper.rate > lower.rate * NARROW;
                let middle = rounded((lower.rate * upper.rate).sqrt());
                if is_wide { short(middle) } else { full(middle) }
            }
            (lower, upper) => {
                let unconfirmed = [upper, lower].into_iter().flatten().find(|results| !results.is_confirmed());
                let end = match (lower, upper) {
                    (Some(_), Some(_)) => SearchEnd::Found,
                    (Some(_), None) => SearchEnd::HighestHeld,
                    (None, _) => SearchEnd::LowestBroke,
                };
                unconfirmed.map_or_else(|| Next::Done(self.result(end)), |results| full(results.rate))
            }
        }
    }
}

/// To three significant digits, which are enough to tell the ends of the narrowest interval apart.
fn rounded(rate: f64) -> f64 {
    let digits = 2 - rate.log10().floor() as i32;
    let unit = 10_f64.powi(digits.abs());
    // Divided by a whole number, the result is the one that is printed with these digits.
    if digits > 0 { (rate * unit).round() / unit } else { (rate / unit).round() * unit }
}

#[cfg(test)]
mod tests {
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
}
