//! The latencies of one contestant in one round.

use anyhow::Context;
use serde::Serialize;
use shared::latency::LatencySummary;

/// In milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Percentiles {
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
}

impl From<LatencySummary> for Percentiles {
    fn from(LatencySummary { p50, p99, max, .. }: LatencySummary) -> Self {
        Self { p50, p99, max }
    }
}

impl Percentiles {
    /// Those that perf-test prints of its measured records, in whole milliseconds.
    ///
    /// # Errors
    /// When it printed none.
    pub fn of_perf_test(log: &str) -> anyhow::Result<Self> {
        let line = log.lines().find(|line| line.contains(" steady state records sent,"));
        let parse = |line: &str| {
            let before = |unit: &str| line.split(", ").find_map(|part| part.strip_suffix(unit)?.parse().ok());
            let last = line.trim_end().trim_end_matches('.');
            last.ends_with(" 99.9th").then_some(())?;
            Some(Self { p50: before(" ms 50th")?, p99: before(" ms 99th")?, max: before(" ms max latency")? })
        };
        line.and_then(parse).with_context(|| format!("kafka-producer-perf-test printed no latencies:\n{log}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_of_perf_test_are_those_of_its_steady_state() {
        let log = "15000 records sent, 995.553196 records/sec (0.24 MB/sec), 80.95 ms avg latency, 691.00 ms max latency, \
                   51 ms 50th, 282 ms 95th, 516 ms 99th, 550 ms 99.9th.\n\
                   10000 steady state records sent, 992.555831 records/sec (0.24 MB/sec), 48.62 ms avg latency, \
                   208.00 ms max latency, 38 ms 50th, 128 ms 95th, 169 ms 99th, 200 ms 99.9th.\n";
        let measured = Percentiles::of_perf_test(log).unwrap();
        assert_eq!(measured, Percentiles { p50: 38.0, p99: 169.0, max: 208.0 });
        assert!(Percentiles::of_perf_test("15000 records sent, 51 ms 50th.").is_err());
    }
}
