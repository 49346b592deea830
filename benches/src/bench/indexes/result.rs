//! The result of `bench indexes`, and its table.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use shared::report::{align_right, table};

use super::set::IndexSet;
use crate::bench::{contest::Spread, sink::fill_rate::Fill};

/// The sets of indexes of a round.
pub type Round = BTreeMap<IndexSet, Figures>;

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Figures {
    pub fill: Fill,
    /// Size of the optional indexes.
    pub bytes_per_order: f64,
}

#[derive(Debug, Serialize)]
pub struct IndexBenchResult {
    pub orders: u64,
    pub indexes: BTreeMap<IndexSet, Summary>,
    pub rounds: Vec<Round>,
}

/// A set of indexes in all rounds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Summary {
    pub rows_per_second: Spread,
    /// The throughput divided by that without the indexes in the same round.
    pub ratio: Spread,
    /// CPU seconds of PostgreSQL per million rows.
    pub postgres_cpu: Option<Spread>,
    pub bytes_per_order: Spread,
}

impl IndexBenchResult {
    /// None without rounds.
    pub fn new(orders: u64, rounds: Vec<Round>) -> Option<Self> {
        let speed = |round: &Round, set| round[&set].fill.events_per_second;
        let summary = |set| {
            let postgres: Option<Vec<f64>> = rounds.iter().map(|round| round[&set].fill.cpu.postgres).collect();
            let summary = Summary {
                rows_per_second: Spread::of(rounds.iter().map(|round| speed(round, set)))?,
                ratio: Spread::of(rounds.iter().map(|round| speed(round, set) / speed(round, IndexSet::None)))?,
                postgres_cpu: postgres.and_then(Spread::of),
                bytes_per_order: Spread::of(rounds.iter().map(|round| round[&set].bytes_per_order))?,
            };
            Some((set, summary))
        };
        let indexes = IndexSet::ALL.into_iter().map(summary).collect::<Option<_>>()?;
        Some(Self { orders, indexes, rounds })
    }
}

impl fmt::Display for IndexBenchResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = table(["indexes", "orders/s", "× without", "PostgreSQL, s", "bytes/order"]);
        align_right(&mut rows, 1..5);
        for (set, summary) in &self.indexes {
            let [speed, _] = summary.rows_per_second.speed();
            let cpu = summary.postgres_cpu.map_or_else(|| "–".to_owned(), |cpu| format!("{:.2}", cpu.median));
            let bytes = format!("{:.0}", summary.bytes_per_order.median);
            rows.add_row([set.name().to_owned(), speed, summary.ratio.to_string(), cpu, bytes]);
        }
        let rounds = self.rounds.len();
        write!(f, "{rows}\n{rounds} rounds of {} orders. PostgreSQL: CPU s per million orders.", self.orders)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::cpu::CpuTime;

    #[test]
    fn the_ratios_are_those_to_the_table_without_indexes_and_the_table_fits_a_terminal() {
        let round = |indexed: f64| -> Round {
            let figures = |set| {
                let rows_per_second = if set == IndexSet::None { 80_000.0 } else { indexed };
                let cpu = CpuTime { clients: 3.0, brokers: None, postgres: Some(17.25) };
                Figures { fill: Fill { events_per_second: rows_per_second, cpu }, bytes_per_order: 48.2 }
            };
            IndexSet::ALL.into_iter().map(|set| (set, figures(set))).collect()
        };
        let result = IndexBenchResult::new(200_000, vec![round(60_000.0), round(40_000.0)]).unwrap();
        let ratio = result.indexes[&IndexSet::Both].ratio;
        assert_eq!((ratio.lowest, ratio.median, ratio.highest), (0.5, 0.625, 0.75));
        assert_eq!(result.indexes[&IndexSet::None].ratio.median, 1.0);
        let text = result.to_string();
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("17.25") && text.contains("48"), "{text}");
        assert!(IndexBenchResult::new(1, Vec::new()).is_none());
    }
}
