//! The result of `bench producer`, and its table.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use shared::report::{align_right, table};

use super::{contestant::Contestant, timed::Timed};
use crate::bench::contest::Spread;

/// The contestants of a round.
pub type Round = BTreeMap<Contestant, Timed>;

#[derive(Debug, Serialize)]
pub struct ProducerBenchResult {
    pub orders: u64,
    /// Key, header and value together.
    pub bytes_per_record: f64,
    pub contestants: BTreeMap<Contestant, Summary>,
    pub rounds: Vec<Round>,
}

/// A contestant in all rounds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Summary {
    pub records_per_second: Spread,
    /// The producer's throughput divided by this one's, in each round. The producer's is the mean of its two runs.
    pub producer_ratio: Spread,
    /// CPU seconds of the process per million records.
    pub client_cpu: Spread,
    /// This one's CPU time divided by the producer's, the inverse of the other ratio, in each round.
    pub cpu_ratio: Spread,
    /// CPU seconds of all brokers per million records.
    pub broker_cpu: Option<Spread>,
    /// Bytes of a record in the log of a broker.
    pub log_bytes: f64,
}

impl ProducerBenchResult {
    /// None without rounds.
    pub fn new(
        orders: u64,
        bytes_per_record: f64,
        rounds: Vec<Round>,
        log_bytes: &BTreeMap<Contestant, f64>,
    ) -> Option<Self> {
        let summary = |contestant| {
            let of = |figure: fn(&Timed) -> f64| Spread::of(rounds.iter().map(|round| figure(&round[&contestant])));
            let ratio = |figure: fn(&Timed) -> f64| {
                let reference = |round: &Round| {
                    (figure(&round[&Contestant::Producer]) + figure(&round[&Contestant::ProducerAgain])) / 2.0
                };
                Spread::of(rounds.iter().map(|round| reference(round) / figure(&round[&contestant])))
            };
            let broker_cpu = rounds.iter().map(|round| round[&contestant].cpu.brokers).collect::<Option<Vec<f64>>>();
            Some(Summary {
                records_per_second: of(|timed| timed.records_per_second)?,
                producer_ratio: ratio(|timed| timed.records_per_second)?,
                client_cpu: of(|timed| timed.cpu.clients)?,
                cpu_ratio: ratio(|timed| 1.0 / timed.cpu.clients)?,
                broker_cpu: broker_cpu.and_then(Spread::of),
                log_bytes: *log_bytes.get(&contestant)?,
            })
        };
        let contestants = Contestant::ALL.map(|contestant| Some((contestant, summary(contestant)?)));
        let contestants = contestants.into_iter().collect::<Option<_>>()?;
        Some(Self { orders, bytes_per_record, contestants, rounds })
    }
}

impl fmt::Display for ProducerBenchResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut speed = table(["records per second", "median", "all rounds", "the producer is"]);
        let mut cost = table(["CPU s per million", "client", "× the producer's", "brokers", "bytes in log"]);
        align_right(&mut speed, 1..4);
        align_right(&mut cost, 1..5);
        for (contestant, summary) in &self.contestants {
            let [median, all] = summary.records_per_second.speed();
            let ratio = |ratio: Spread| format!("{ratio} ×");
            speed.add_row([contestant.name().to_owned(), median, all, ratio(summary.producer_ratio)]);
            let brokers = summary.broker_cpu.map_or_else(|| "–".to_owned(), |cpu| format!("{:.2}", cpu.median));
            cost.add_row([
                contestant.name().to_owned(),
                format!("{:.2}", summary.client_cpu.median),
                ratio(summary.cpu_ratio),
                brokers,
                format!("{:.1}", summary.log_bytes),
            ]);
        }
        let Self { orders, bytes_per_record, rounds, .. } = self;
        write!(
            f,
            "{speed}\n{cost}\n{} rounds of {orders} records of {bytes_per_record:.1} bytes; timed from 20 % to 80 % of them.",
            rounds.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::cpu::CpuTime;

    fn round(speeds: [f64; 4]) -> Round {
        let timed = |records_per_second| Timed {
            records_per_second,
            cpu: CpuTime { clients: 1e5 / records_per_second, brokers: Some(12.345), postgres: None },
        };
        Contestant::ALL.into_iter().zip(speeds.map(timed)).collect()
    }

    #[test]
    fn the_ratios_are_those_within_each_round_and_the_tables_fit_a_terminal() {
        let rounds = vec![
            round([300_000.0, 400_000.0, 200_000.0, 300_000.0]),
            round([100_000.0, 125_000.0, 80_000.0, 100_000.0]),
        ];
        let log_bytes = Contestant::ALL.map(|contestant| (contestant, 123.456)).into();
        let result = ProducerBenchResult::new(3_000_000, 257.0, rounds, &log_bytes).unwrap();
        let perf_test = result.contestants[&Contestant::PerfTest];
        assert_eq!((perf_test.producer_ratio.lowest, perf_test.producer_ratio.highest), (1.25, 1.5));
        assert_eq!((perf_test.cpu_ratio.lowest, perf_test.cpu_ratio.highest), (1.25, 1.5));
        let text = result.to_string();
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("200,000/s") && text.contains("80,000–200,000"), "{text}");
        assert!(ProducerBenchResult::new(1, 1.0, Vec::new(), &log_bytes).is_none());
    }
}
