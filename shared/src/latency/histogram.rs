use std::time::Duration;

use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Maximum latency of a histogram. A longer latency is recorded as this one.
pub const MAX_LATENCY: Duration = Duration::from_secs(24 * 3600);

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

    /// The latency at `quantile` (0 to 1) in milliseconds; `None` when nothing is recorded.
    pub fn at_quantile(&self, quantile: f64) -> Option<f64> {
        (self.count() > 0).then(|| self.microseconds.value_at_quantile(quantile) as f64 / 1_000.0)
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
