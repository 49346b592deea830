//! The result of `bench sink`, and its table.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use shared::report::{align_right, table};

use super::{contestant::Sink, fill_rate::Fill};
use crate::bench::{contest::Spread, cpu::CpuTime};

/// The sinks of a round.
pub type Round = BTreeMap<Sink, Fill>;

#[derive(Debug, Serialize)]
pub struct SinkBenchResult {
    pub orders: u64,
    /// Changes of their status.
    pub changes: u64,
    pub sinks: BTreeMap<Sink, Summary>,
    pub rounds: Vec<Round>,
    /// Orders per second of a consumer in Python that stores one order at a time, measured once, with few orders; none
    /// with lifecycles.
    pub python_one_by_one: Option<f64>,
    /// Peak resident memory of one consumer, in bytes.
    pub peak_memory: u64,
}

/// A sink in all rounds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Summary {
    pub events_per_second: Spread,
    /// The throughput of one consumer, the mean of its two runs, divided by that of this sink, in each round.
    pub consumer_ratio: Spread,
    /// CPU seconds of its processes per million events.
    pub sink_cpu: Spread,
    /// CPU seconds of PostgreSQL per million events.
    pub postgres_cpu: Option<Spread>,
    /// CPU seconds of all brokers per million events.
    pub broker_cpu: Option<Spread>,
}

impl SinkBenchResult {
    /// None without rounds.
    pub fn new(
        orders: u64,
        changes: u64,
        rounds: Vec<Round>,
        python_one_by_one: Option<f64>,
        peak_memory: u64,
    ) -> Option<Self> {
        let speed = |round: &Round, sink| round[&sink].events_per_second;
        let reference = |round: &Round| (speed(round, Sink::Consumer) + speed(round, Sink::ConsumerAgain)) / 2.0;
        let summary = |sink| {
            let cpu = |of: fn(&CpuTime) -> Option<f64>| {
                let values: Option<Vec<f64>> = rounds.iter().map(|round| of(&round[&sink].cpu)).collect();
                values.and_then(Spread::of)
            };
            let summary = Summary {
                events_per_second: Spread::of(rounds.iter().map(|round| speed(round, sink)))?,
                consumer_ratio: Spread::of(rounds.iter().map(|round| reference(round) / speed(round, sink)))?,
                sink_cpu: cpu(|cpu| Some(cpu.clients))?,
                postgres_cpu: cpu(|cpu| cpu.postgres),
                broker_cpu: cpu(|cpu| cpu.brokers),
            };
            Some((sink, summary))
        };
        let sinks = rounds.first()?.keys().copied().map(summary).collect::<Option<_>>()?;
        Some(Self { orders, changes, sinks, rounds, python_one_by_one, peak_memory })
    }
}

impl fmt::Display for SinkBenchResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = table(["events per second", "median", "all rounds", "one consumer is"]);
        let mut cost = table(["CPU s per million events", "sink", "PostgreSQL", "brokers"]);
        align_right(&mut rows, 1..4);
        align_right(&mut cost, 1..4);
        let seconds = |cpu: Option<Spread>| cpu.map_or_else(|| "–".to_owned(), |cpu| format!("{:.2}", cpu.median));
        for (sink, summary) in &self.sinks {
            let [median, all] = summary.events_per_second.speed();
            let ratio = format!("{} ×", summary.consumer_ratio);
            rows.add_row([sink.name().to_owned(), median, all, ratio]);
            let cpu = [Some(summary.sink_cpu), summary.postgres_cpu, summary.broker_cpu].map(seconds);
            cost.add_row([sink.name().to_owned()].into_iter().chain(cpu));
        }
        if let Some(speed) = self.python_one_by_one {
            let consumer = [Sink::Consumer, Sink::ConsumerAgain].map(|sink| self.sinks[&sink].events_per_second.median);
            let ratio = format!("{:.0} ×", consumer.iter().sum::<f64>() / 2.0 / speed);
            rows.add_row(["Python, one by one".to_owned(), format!("{speed:.0}/s"), "few orders".to_owned(), ratio]);
        }
        let changes = if self.changes > 0 { format!(" and {} changes", self.changes) } else { String::new() };
        let (orders, memory) = (self.orders, self.peak_memory as f64 / 1_048_576.0);
        write!(
            f,
            "{rows}\n{cost}\n{} rounds of {orders} orders{changes}, timed from a fifth of them on.\nA consumer used \
             {memory:.1} MiB.",
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
            let cpu = CpuTime { clients: 3.456, brokers: Some(0.7), postgres: None };
            let fill = |events_per_second| Fill { events_per_second, cpu };
            Sink::ALL.into_iter().map(|sink| (sink, fill(if is_ours(sink) { consumer } else { other }))).collect()
        };
        let rounds = vec![round(100_000.0, 50_000.0), round(90_000.0, 30_000.0)];
        let result = SinkBenchResult::new(500_000, 0, rounds, Some(200.0), 60 << 20).unwrap();
        let ratio = result.sinks[&Sink::DebeziumTuned].consumer_ratio;
        assert_eq!((ratio.lowest, ratio.median, ratio.highest), (2.0, 2.5, 3.0));
        let text = result.to_string();
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("30,000–50,000") && text.contains("475 ×"), "{text}");
        assert!(text.contains("3.46") && text.contains("0.70") && text.contains("–"), "{text}");
        assert!(SinkBenchResult::new(1, 0, Vec::new(), None, 0).is_none());
    }
}
