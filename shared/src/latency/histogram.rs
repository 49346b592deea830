use std::time::Duration;

use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Maximum latency of a histogram. A longer latency is recorded as this one.
pub const MAX_LATENCY: Duration = Duration::from_secs(24 * 3600);

/// Points of a distribution for each half of the distance to 1: some 130 for 60,000 latencies.
const STEPS_PER_HALF: f64 = 8.0;

/// A histogram of latencies, from 1 µs to [`MAX_LATENCY`], to three significant digits. A negative latency (the clocks
/// of two machines differ) is counted as clock skew and never recorded as 0.
#[derive(Clone)]
pub struct Latencies {
    pub(super) microseconds: Histogram<u64>,
    pub(super) clock_skew: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        let microseconds = Histogram::new_with_bounds(1, MAX_LATENCY.as_micros() as u64, 3)
            .expect("1 µs to a day at 3 digits are valid bounds of a histogram");
        Self { microseconds, clock_skew: 0 }
    }
}

impl Latencies {
    /// An empty histogram for latencies of up to `longest`, which takes less memory than the default one. A longer
    /// latency is recorded as this one.
    pub fn up_to(longest: Duration) -> Self {
        let longest = longest.min(MAX_LATENCY).as_micros() as u64;
        let microseconds = Histogram::new_with_bounds(1, longest.saturating_add(1).max(2), 3)
            .expect("1 µs to 2 µs or more at 3 digits are valid bounds of a histogram");
        Self { microseconds, clock_skew: 0 }
    }

    /// Records a latency of `nanos` nanoseconds, rounded up to microseconds. A negative one counts as clock skew.
    pub fn record_nanos(&mut self, nanos: i64) {
        match u64::try_from(nanos) {
            Ok(nanos) => self.microseconds.saturating_record(nanos.div_ceil(1_000)),
            Err(_) => self.clock_skew += 1,
        }
    }

    /// Adds all latencies of `other`.
    ///
    /// # Panics
    /// When `other` has a latency that is beyond the limit of this histogram.
    pub fn add(&mut self, other: &Self) {
        self.microseconds.add(&other.microseconds).expect("the histogram has room for the latencies that are added");
        self.clock_skew += other.clock_skew;
    }

    /// Removes all latencies but keeps the allocated memory.
    pub fn clear(&mut self) {
        self.microseconds.reset();
        self.clock_skew = 0;
    }

    /// Number of latencies recorded, without those that count as clock skew.
    pub fn count(&self) -> u64 {
        self.microseconds.len()
    }

    /// Each latency that was recorded, in seconds, with how often it was; to three significant digits.
    pub fn recorded(&self) -> impl Iterator<Item = (f64, u64)> {
        self.microseconds.iter_recorded().map(|value| (value.value_iterated_to() as f64 / 1e6, value.count_at_value()))
    }

    /// The latency at `quantile` (0 to 1) in milliseconds; `None` when nothing is recorded.
    pub fn at_quantile(&self, quantile: f64) -> Option<f64> {
        (self.count() > 0).then(|| self.microseconds.value_at_quantile(quantile) as f64 / 1_000.0)
    }

    /// The whole distribution, for a plot over a logarithmic axis of 1 / (1 − quantile): pairs of quantile and
    /// milliseconds, both ascending, from 0 to 1 with ever smaller distances to 1. The last but one is the quantile of
    /// all but one latency or below it. Empty when nothing is recorded.
    pub fn distribution(&self) -> Vec<(f64, f64)> {
        if self.count() == 0 {
            return Vec::new();
        }
        let rest = |step: u32| 0.5_f64.powf(f64::from(step) / STEPS_PER_HALF);
        let steps = (0..).map(rest).take_while(|rest| *rest * self.count() as f64 >= 1.0).map(|rest| 1.0 - rest);
        steps.chain([1.0]).filter_map(|quantile| Some((quantile, self.at_quantile(quantile)?))).collect()
    }

    /// Count and percentiles. All are 0 when nothing is recorded.
    pub fn summary(&self) -> LatencySummary {
        let ms = |micros: u64| micros as f64 / 1_000.0;
        let at = |quantile: f64| ms(self.microseconds.value_at_quantile(quantile));
        LatencySummary {
            count: self.count(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: ms(self.microseconds.max()),
            clock_skew: self.clock_skew,
        }
    }
}

/// Percentiles of latencies, in milliseconds, to three significant digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LatencySummary {
    /// Number of latencies.
    pub count: u64,
    /// Median, ms.
    pub p50: f64,
    /// 90th percentile, ms.
    pub p90: f64,
    /// 99th percentile, ms.
    pub p99: f64,
    /// 99.9th percentile, ms.
    pub p999: f64,
    /// Maximum, ms.
    pub max: f64,
    /// Number of negative latencies; they are in none of the other figures.
    pub clock_skew: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_latency_is_clock_skew() {
        let mut latencies = Latencies::default();
        latencies.record_nanos(-1);
        latencies.record_nanos(2_000);
        assert_eq!((latencies.count(), latencies.summary().clock_skew), (1, 1));
    }

    #[test]
    fn each_latency_is_recorded_with_its_count() {
        let mut latencies = Latencies::default();
        for nanos in [5_000, 2_000_000, 2_000_000, -1] {
            latencies.record_nanos(nanos);
        }
        let recorded: Vec<(f64, u64)> = latencies.recorded().collect();
        assert_eq!(recorded, [(0.000_005, 1), (0.002, 2)]);
    }

    #[test]
    fn a_distribution_goes_from_the_smallest_latency_to_the_largest_and_ends_at_its_resolution() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.distribution(), []);
        latencies.record_nanos(5_000_000);
        assert_eq!(latencies.distribution().first().map(|point| point.0), Some(0.0));
        for millis in 2..=1_000 {
            latencies.record_nanos(millis * 1_000_000);
        }
        let points = latencies.distribution();
        assert!((60..200).contains(&points.len()), "{} points", points.len());
        assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1), "{points:?}");
        let (first, [before, last]) = (points[0], [points[points.len() - 2], points[points.len() - 1]]);
        let summary = latencies.summary();
        assert!(first.0 == 0.0 && (first.1 - 2.0).abs() < 0.01, "{first:?}");
        assert!(last == (1.0, summary.max) && before.0 >= 0.99 && before.0 <= 0.999, "{before:?}, {last:?}");
        let median = points.iter().find(|point| (point.0 - 0.5).abs() < 1e-9).unwrap();
        assert_eq!(median.1, summary.p50);
    }

    #[test]
    fn a_histogram_with_a_limit_is_small_and_adds_up_to_the_same_as_one_without() {
        let (mut small, mut all) = (Latencies::up_to(Duration::from_millis(7)), Latencies::default());
        let mut expected = Latencies::default();
        for nanos in [0, 1, 999, 1_000, 2_345_678, 7_000_000] {
            small.record_nanos(nanos);
            expected.record_nanos(nanos);
        }
        assert!(small.microseconds.distinct_values() < all.microseconds.distinct_values() / 4);
        all.add(&small);
        assert_eq!(all.summary(), expected.summary());
        let mut empty = Latencies::up_to(Duration::ZERO);
        empty.record_nanos(1);
        assert_eq!(empty.count(), 1);
    }
}
