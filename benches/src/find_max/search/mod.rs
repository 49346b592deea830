//! Which rate to try next: a function of the results so far and of the time, without a clock, a program or a random
//! number.
//!
//! Probes are noisy: one may break at a rate that holds otherwise, and the other way round. So no single result decides.
//! All of them give a probability to each rate ([`posterior`]). The next probe is where they tell least: at the median,
//! the rate that is as likely too high as too low. Steps beyond what was probed are bounded, since an overload takes the
//! time of other probes: the rate doubles until a probe breaks.

mod model;
mod posterior;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use self::model::{
    CERTAINTY, Interval, Next, Outcome, Probe, ProbeLength, SearchEnd, SearchResult, SearchSettings,
};
use self::posterior::Posterior;

/// The most that a probe is above the highest one so far, or below the lowest.
const GROWTH: f64 = 2.0;
/// The ratio of the ends of the interval in which probes of full length begin. In a wider one, short probes find the way.
const NARROW: f64 = 1.6;

/// The results so far.
#[derive(Clone, Debug)]
pub struct Search {
    settings: SearchSettings,
    posterior: Posterior,
    probes: Vec<(f64, Outcome)>,
    /// The longest time that a probe took beyond its length: its start, its warm-up, and the wait until all is stored.
    overhead: Duration,
}

impl Search {
    /// `overhead` is what the first probe is expected to take beyond its length.
    pub fn new(settings: SearchSettings, overhead: Duration) -> Self {
        Self { settings, posterior: Posterior::new(settings.lowest, settings.highest), probes: Vec::new(), overhead }
    }

    /// Adds the result of a probe that took `took`, from its start until the next one could start.
    pub fn record(&mut self, probe: Probe, outcome: Outcome, took: Duration) {
        self.overhead = self.overhead.max(took.saturating_sub(self.length(probe.length)));
        self.posterior.observe(probe, outcome);
        self.probes.push((probe.rate, outcome));
    }

    /// The next probe, when it can end within the budget, of which `elapsed` is spent.
    pub fn next(&self, elapsed: Duration) -> Next {
        if let Some(end) = self.end() {
            return Next::Done(self.result(end));
        }
        let Interval { low, high } = self.interval();
        let wanted = if high > low * NARROW { ProbeLength::Short } else { ProbeLength::Full };
        let fits = |length: ProbeLength| elapsed + self.length(length) + self.overhead <= self.settings.budget;
        match [wanted, ProbeLength::Short].into_iter().find(|length| fits(*length)) {
            Some(length) => Next::Probe(Probe { rate: self.next_rate(), length }),
            None => Next::Done(self.result(SearchEnd::BudgetSpent)),
        }
    }

    /// What is known so far, for a search that ends now.
    pub fn result(&self, end: SearchEnd) -> SearchResult {
        let highest_held = self.rates(|outcome| outcome == Outcome::Held).reduce(f64::max);
        let lowest_broken = self.rates(|outcome| outcome != Outcome::Held).reduce(f64::min);
        SearchResult {
            end,
            rate: highest_held.and(lowest_broken).map(|_| self.median()),
            interval: self.interval(),
            highest_held,
            lowest_broken,
        }
    }

    pub fn length(&self, length: ProbeLength) -> Duration {
        match length {
            ProbeLength::Short => self.settings.short,
            ProbeLength::Full => self.settings.full,
        }
    }

    fn rates(&self, is_wanted: fn(Outcome) -> bool) -> impl Iterator<Item = f64> {
        self.probes.iter().filter(move |(_, outcome)| is_wanted(*outcome)).map(|(rate, _)| *rate)
    }

    fn median(&self) -> f64 {
        rounded(self.posterior.quantile(0.5))
    }

    fn interval(&self) -> Interval {
        let tail = (1.0 - CERTAINTY) / 2.0;
        Interval { low: rounded(self.posterior.quantile(tail)), high: rounded(self.posterior.quantile(1.0 - tail)) }
    }

    fn next_rate(&self) -> f64 {
        let SearchSettings { from, lowest, highest, .. } = self.settings;
        let rates = || self.rates(|_| true);
        let step = |(least, most): (f64, f64)| self.median().clamp(least / GROWTH, most * GROWTH);
        let probed = rates().reduce(f64::min).zip(rates().reduce(f64::max));
        probed.map_or(from, step).clamp(lowest, highest)
    }

    /// Why the search ends, when more time would not change that.
    fn end(&self) -> Option<SearchEnd> {
        let SearchSettings { lowest, highest, tolerance, .. } = self.settings;
        let Interval { low, high } = self.interval();
        match () {
            () if low >= highest => Some(SearchEnd::HighestHeld),
            () if high <= lowest => Some(SearchEnd::LowestBroke),
            () if high <= low * (1.0 + tolerance) => Some(SearchEnd::Found),
            () => None,
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
