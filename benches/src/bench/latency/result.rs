//! The result of `bench latency`, and its tables.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::Serialize;
use shared::report::{align_right, table};

use super::{contestant::Contestant, percentiles::Percentiles};
use crate::bench::{contest::Spread, cpu::CpuTime};

/// The contestants of a round.
pub type Round = BTreeMap<Contestant, Measured>;

/// A contestant in one round.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    pub latency: Percentiles,
    /// In cores.
    pub cpu: CpuTime,
    /// The stages of the consumer's orders; empty for the others.
    pub stages: Vec<(&'static str, Percentiles)>,
}

#[derive(Debug, Serialize)]
pub struct LatencyBenchResult {
    /// Orders per second.
    pub rate: u32,
    /// Measured time of each contestant in a round.
    pub seconds: f64,
    pub contestants: BTreeMap<Contestant, Summary>,
    /// The stages of the consumer.
    pub stages: Vec<(&'static str, LatencySpread)>,
    pub rounds: Vec<Round>,
}

/// A contestant in all rounds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Summary {
    pub latency: LatencySpread,
    /// Cores of its processes.
    pub client_cpu: Spread,
    /// Cores of PostgreSQL; none for a producer.
    pub postgres_cpu: Option<Spread>,
    /// Cores of all brokers.
    pub broker_cpu: Option<Spread>,
}

/// In milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct LatencySpread {
    pub p50: Spread,
    pub p99: Spread,
    pub max: Spread,
}

impl LatencySpread {
    fn of(rounds: &[Percentiles]) -> Option<Self> {
        let of = |figure: fn(&Percentiles) -> f64| Spread::of(rounds.iter().map(figure));
        Some(Self { p50: of(|it| it.p50)?, p99: of(|it| it.p99)?, max: of(|it| it.max)? })
    }
}

impl LatencyBenchResult {
    /// None without rounds.
    pub fn new(rate: u32, duration: Duration, rounds: Vec<Round>) -> Option<Self> {
        let summary = |contestant: Contestant| {
            let latencies: Vec<Percentiles> = rounds.iter().map(|round| round[&contestant].latency).collect();
            let cpu = |of: fn(&CpuTime) -> Option<f64>| {
                let values: Option<Vec<f64>> = rounds.iter().map(|round| of(&round[&contestant].cpu)).collect();
                values.and_then(Spread::of)
            };
            let is_sink = Contestant::SINKS.contains(&contestant);
            let summary = Summary {
                latency: LatencySpread::of(&latencies)?,
                client_cpu: cpu(|cpu| Some(cpu.clients))?,
                postgres_cpu: cpu(|cpu| cpu.postgres).filter(|_| is_sink),
                broker_cpu: cpu(|cpu| cpu.brokers),
            };
            Some((contestant, summary))
        };
        let contestants = Contestant::ALL.into_iter().map(summary).collect::<Option<_>>()?;
        let mut by_stage: Vec<(&'static str, Vec<Percentiles>)> = Vec::new();
        for (stage, latency) in rounds.iter().flat_map(|round| &round[&Contestant::Consumer].stages) {
            match by_stage.iter_mut().find(|(name, _)| name == stage) {
                Some((_, latencies)) => latencies.push(*latency),
                None => by_stage.push((stage, vec![*latency])),
            }
        }
        let stages = by_stage.into_iter().filter_map(|(name, all)| Some((name, LatencySpread::of(&all)?))).collect();
        Some(Self { rate, seconds: duration.as_secs_f64(), contestants, stages, rounds })
    }

    /// The median; with several rounds also the lowest and the highest.
    fn figure(&self, spread: Spread) -> String {
        if self.rounds.len() > 1 { spread.to_string() } else { format!("{:.2}", spread.median) }
    }

    fn latency_row(&self, name: &str, LatencySpread { p50, p99, max }: LatencySpread) -> [String; 4] {
        let highest = format!("{:.2}", max.highest);
        [name.to_owned(), self.figure(p50), self.figure(p99), highest]
    }
}

impl fmt::Display for LatencyBenchResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut stored = table(["due to commit, ms", "p50", "p99", "max"]);
        let mut acknowledged = table(["due to acknowledged, ms", "p50", "p99", "max"]);
        let mut cpu = table(["CPU, cores", "its own", "PostgreSQL", "brokers"]);
        [&mut stored, &mut acknowledged, &mut cpu].into_iter().for_each(|table| align_right(table, 1..4));
        for contestant in Contestant::SINKS {
            stored.add_row(self.latency_row(contestant.name(), self.contestants[&contestant].latency));
            if contestant == Contestant::Consumer {
                for (stage, latency) in &self.stages {
                    stored.add_row(self.latency_row(&format!("  {stage}"), *latency));
                }
            }
        }
        for contestant in Contestant::PRODUCERS {
            acknowledged.add_row(self.latency_row(contestant.name(), self.contestants[&contestant].latency));
        }
        let cores = |cpu: Option<Spread>| cpu.map_or_else(|| "–".to_owned(), |cpu| self.figure(cpu));
        for contestant in Contestant::SINKS.into_iter().chain(Contestant::PRODUCERS) {
            let Summary { client_cpu, postgres_cpu, broker_cpu, .. } = self.contestants[&contestant];
            let cells = [Some(client_cpu), postgres_cpu, broker_cpu].map(cores);
            cpu.add_row([contestant.name().to_owned()].into_iter().chain(cells));
        }
        let Self { rate, seconds, rounds, .. } = self;
        let number = rounds.len();
        write!(
            f,
            "{stored}\n{acknowledged}\n{cpu}\n{rate} orders per second for {seconds} s; rounds: {number}.\n\
             The time of a commit is taken before its WAL is flushed. The stages of the\n\
             consumer are by its own clock, to the end of the commit. perf-test counts from\n\
             send, in whole milliseconds."
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_have_all_contestants_and_fit_a_terminal() {
        let measured = |p50: f64| Measured {
            latency: Percentiles { p50, p99: 1_234.567, max: 12_345.678 },
            cpu: CpuTime { clients: 0.123, brokers: Some(1.05), postgres: Some(0.27) },
            stages: vec![("broker", Percentiles { p50: 2.9, p99: 25.0, max: 300.0 })],
        };
        let round = |p50| Contestant::ALL.into_iter().map(|contestant| (contestant, measured(p50))).collect();
        for rounds in [vec![round(3.5)], vec![round(3.5), round(4.5)]] {
            let number = rounds.len();
            let result = LatencyBenchResult::new(1_000, Duration::from_secs(60), rounds).unwrap();
            let text = result.to_string();
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
            assert!(Contestant::ALL.iter().all(|contestant| text.contains(contestant.name())), "{text}");
            let p50 = if number == 1 { "3.50" } else { "4.00 (3.50–4.50)" };
            assert!(text.contains(p50) && text.contains("  broker") && text.contains("12345.68"), "{text}");
            let producer = text.lines().rfind(|line| line.contains("producer")).unwrap();
            assert!(producer.contains("–") && producer.contains("0.12"), "{text}");
        }
        assert!(LatencyBenchResult::new(1, Duration::ZERO, Vec::new()).is_none());
    }
}
