//! Which rate to try next: a function of the results so far and of the time, without a clock, a program or a random
//! number.
//!
//! The rate doubles until a probe breaks, then the interval between the highest rate that held and the lowest that broke
//! is halved on a logarithmic scale. Probes are noisy: one may break at a rate that holds otherwise, and the other way
//! round. So each result is provisional until its rate is one end of the last interval. There it must be confirmed: by a
//! conclusive probe of full length, or by more probes than contradict it. A result that is overturned widens the
//! interval again, to the next result of its kind.

mod model;
mod rate_results;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use self::model::{Next, Outcome, Probe, ProbeLength, SearchEnd, SearchResult, SearchSettings};
use self::rate_results::RateResults;

/// Growth until the first probe that breaks.
const GROWTH: f64 = 2.0;
/// The interval in which probes of full length begin. In a wider one, short probes find the way.
const NARROW: f64 = 1.5;

/// The results so far.
#[derive(Clone, Debug)]
pub struct Search {
    settings: SearchSettings,
    /// By rate, ascending.
    rates: Vec<RateResults>,
    /// The longest time that a probe took beyond its length: its start, its warm-up, and the wait until all is stored.
    overhead: Duration,
}

impl Search {
    /// `overhead` is what the first probe is expected to take beyond its length.
    pub fn new(settings: SearchSettings, overhead: Duration) -> Self {
        Self { settings, rates: Vec::new(), overhead }
    }

    /// Adds the result of a probe that took `took`, from its start until the next one could start.
    pub fn record(&mut self, probe: Probe, outcome: Outcome, took: Duration) {
        self.overhead = self.overhead.max(took.saturating_sub(self.length(probe.length)));
        let at = self.rates.partition_point(|results| results.rate < probe.rate);
        if self.rates.get(at).is_none_or(|results| results.rate != probe.rate) {
            self.rates.insert(at, RateResults::new(probe.rate));
        }
        self.rates[at].vote(outcome, probe.length);
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
