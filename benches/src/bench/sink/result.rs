//! The result of `bench sink`, and its report.

use serde::Serialize;
use shared::report::Report;

use crate::bench::report::median;

/// Rows per second of each sink in one round.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct BenchRound {
    pub one_consumer: f64,
    pub three_consumers: f64,
    pub debezium: f64,
    pub debezium_tuned: f64,
    pub python_batch: f64,
    pub copy: f64,
    /// Peak resident memory of one consumer, in bytes.
    pub peak_memory: u64,
}

/// The throughput of one consumer divided by that of the other sink: medians of the rounds' ratios. One consumer has
/// three connections, as Debezium and `COPY` have.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Ratios {
    debezium: f64,
    debezium_tuned: f64,
    python_batch: f64,
    copy: f64,
}

#[derive(Debug, Serialize)]
pub struct SinkBenchResult {
    orders: u64,
    rounds: Vec<BenchRound>,
    ratios: Ratios,
}

impl SinkBenchResult {
    /// `rounds` must not be empty.
    pub fn new(orders: u64, rounds: Vec<BenchRound>) -> Self {
        let ratio = |other: fn(&BenchRound) -> f64| {
            median(rounds.iter().map(|round| round.one_consumer / other(round)).collect())
        };
        let ratios = Ratios {
            debezium: ratio(|round| round.debezium),
            debezium_tuned: ratio(|round| round.debezium_tuned),
            python_batch: ratio(|round| round.python_batch),
            copy: ratio(|round| round.copy),
        };
        Self { orders, rounds, ratios }
    }
}

pub fn report(result: &SinkBenchResult) -> Report {
    let mut report = Report::about("sink", &format!("{} orders per round", result.orders));
    let speed = |of: fn(&BenchRound) -> f64| format!("{:.0}/s", median(result.rounds.iter().map(of).collect()));
    let ratios = result.ratios;
    let ratio = |ratio: f64| format!("one consumer is {ratio:.2} × as fast");
    report.line("one consumer", speed(|round| round.one_consumer), "3 connections, enriches");
    report.line("three consumers", speed(|round| round.three_consumers), "9 connections, enriches");
    report.line("Debezium JDBC sink", speed(|round| round.debezium), ratio(ratios.debezium));
    report.line("Debezium, tuned", speed(|round| round.debezium_tuned), ratio(ratios.debezium_tuned));
    report.line("Python batch consumer", speed(|round| round.python_batch), ratio(ratios.python_batch));
    report.line("COPY", speed(|round| round.copy), ratio(ratios.copy));
    let peak = result.rounds.iter().map(|round| round.peak_memory).max().unwrap_or_default();
    report.line("memory of a consumer", format!("{:.1} MiB", peak as f64 / 1_048_576.0), "peak");
    report
}
