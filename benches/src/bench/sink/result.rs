//! The result of `bench sink`, and its table.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use shared::report::{align_right, table};

use super::contestant::Sink;
use crate::bench::contest::Spread;

/// Rows per second of each sink in one round.
pub type Round = BTreeMap<Sink, f64>;

#[derive(Debug, Serialize)]
pub struct SinkBenchResult {
    pub orders: u64,
    pub sinks: BTreeMap<Sink, Summary>,
    pub rounds: Vec<Round>,
    /// Rows per second of a consumer in Python that stores one order at a time, measured once, with few orders.
    pub python_one_by_one: f64,
    /// Peak resident memory of one consumer, in bytes.
    pub peak_memory: u64,
}

/// A sink in all rounds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Summary {
    pub rows_per_second: Spread,
    /// The throughput of one consumer, the mean of its two runs, divided by that of this sink, in each round.
    pub consumer_ratio: Spread,
}

impl SinkBenchResult {
    /// None without rounds.
    pub fn new(orders: u64, rounds: Vec<Round>, python_one_by_one: f64, peak_memory: u64) -> Option<Self> {
        let reference = |round: &Round| (round[&Sink::Consumer] + round[&Sink::ConsumerAgain]) / 2.0;
        let summary = |sink| {
            let rows_per_second = Spread::of(rounds.iter().map(|round| round[&sink]))?;
            let consumer_ratio = Spread::of(rounds.iter().map(|round| reference(round) / round[&sink]))?;
            Some((sink, Summary { rows_per_second, consumer_ratio }))
        };
        let sinks = Sink::ALL.into_iter().map(summary).collect::<Option<_>>()?;
        Some(Self { orders, sinks, rounds, python_one_by_one, peak_memory })
    }
}

impl fmt::Display for SinkBenchResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = table(["rows per second", "median", "all rounds", "one consumer is"]);
        align_right(&mut rows, 1..4);
        for (sink, summary) in &self.sinks {
            let [median, all] = summary.rows_per_second.speed();
            let ratio = format!("{} ×", summary.consumer_ratio);
            rows.add_row([sink.name().to_owned(), median, all, ratio]);
        }
        let one_by_one = format!("{:.0}/s", self.python_one_by_one);
        let ratio = self.sinks[&Sink::Consumer].rows_per_second.median / self.python_one_by_one;
        rows.add_row(["Python, one by one".to_owned(), one_by_one, "few orders".to_owned(), format!("{ratio:.0} ×")]);
        let (orders, memory) = (self.orders, self.peak_memory as f64 / 1_048_576.0);
        write!(
            f,
            "{rows}\n{} rounds of {orders} orders, timed from a fifth of them on (COPY: from the first).\nA consumer used {memory:.1} MiB.",
            self.rounds.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratios_are_those_within_each_round_and_the_table_fits_a_terminal() {
        let round = |consumer: f64, other: f64| -> Round {
            let is_ours = |sink| matches!(sink, Sink::Consumer | Sink::ConsumerAgain);
            Sink::ALL.into_iter().map(|sink| (sink, if is_ours(sink) { consumer } else { other })).collect()
        };
        let rounds = vec![round(100_000.0, 50_000.0), round(90_000.0, 30_000.0)];
        let result = SinkBenchResult::new(500_000, rounds, 200.0, 60 << 20).unwrap();
        let ratio = result.sinks[&Sink::DebeziumTuned].consumer_ratio;
        assert_eq!((ratio.lowest, ratio.median, ratio.highest), (2.0, 2.5, 3.0));
        let text = result.to_string();
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("30,000–50,000") && text.contains("475 ×"), "{text}");
        assert!(SinkBenchResult::new(1, Vec::new(), 1.0, 0).is_none());
    }
}
