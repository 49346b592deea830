//! The result of `bench connections`, and its tables.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use shared::report::{align_right, table};

use super::path::Path;
use crate::bench::{contest::Spread, sink::fill_rate::Fill};

/// The paths of a round.
pub type Round = BTreeMap<Path, Figures>;

/// What a path did in a round.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Figures {
    /// Median time to open a connection, in milliseconds.
    pub open_ms: f64,
    /// Median of a lookup of one user, in milliseconds.
    pub lookup_p50_ms: f64,
    /// 99th percentile of the same.
    pub lookup_p99_ms: f64,
    /// What the consumer stored.
    pub fill: Fill,
}

#[derive(Debug, Serialize)]
pub struct ConnectionsBenchResult {
    pub orders: u64,
    pub paths: BTreeMap<Path, Summary>,
    pub rounds: Vec<Round>,
}

/// A path in all rounds. A ratio is that to the plain connection in the same round.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Summary {
    pub open_ms: Spread,
    pub open_ratio: Spread,
    pub lookup_p50_ms: Spread,
    pub lookup_p50_ratio: Spread,
    pub lookup_p99_ms: Spread,
    pub rows_per_second: Spread,
    pub rows_per_second_ratio: Spread,
    /// CPU seconds of the consumer per million rows.
    pub consumer_cpu: Spread,
    /// CPU seconds of PostgreSQL per million rows.
    pub postgres_cpu: Option<Spread>,
}

impl ConnectionsBenchResult {
    /// None without rounds.
    pub fn new(orders: u64, rounds: Vec<Round>) -> Option<Self> {
        let summary = |path: Path| {
            let spread = |of: fn(&Figures) -> f64| Spread::of(rounds.iter().map(|round| of(&round[&path])));
            let ratio = |of: fn(&Figures) -> f64| {
                Spread::of(rounds.iter().map(|round| of(&round[&path]) / of(&round[&Path::Plain])))
            };
            let postgres: Option<Vec<f64>> = rounds.iter().map(|round| round[&path].fill.cpu.postgres).collect();
            let summary = Summary {
                open_ms: spread(|figures| figures.open_ms)?,
                open_ratio: ratio(|figures| figures.open_ms)?,
                lookup_p50_ms: spread(|figures| figures.lookup_p50_ms)?,
                lookup_p50_ratio: ratio(|figures| figures.lookup_p50_ms)?,
                lookup_p99_ms: spread(|figures| figures.lookup_p99_ms)?,
                rows_per_second: spread(|figures| figures.fill.events_per_second)?,
                rows_per_second_ratio: ratio(|figures| figures.fill.events_per_second)?,
                consumer_cpu: spread(|figures| figures.fill.cpu.clients)?,
                postgres_cpu: postgres.and_then(Spread::of),
            };
            Some((path, summary))
        };
        let paths = Path::ALL.into_iter().map(summary).collect::<Option<_>>()?;
        Some(Self { orders, paths, rounds })
    }
}

impl fmt::Display for ConnectionsBenchResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut latencies = table(["ms", "open", "× plain", "lookup", "p99", "× plain"]);
        let mut stored = table(["consumer", "orders/s", "× plain", "CPU s/million", "PostgreSQL's"]);
        align_right(&mut latencies, 1..6);
        align_right(&mut stored, 1..5);
        for (path, summary) in &self.paths {
            let name = path.name().to_owned();
            let ms = |spread: &Spread| format!("{:.3}", spread.median);
            let ratio = Spread::to_string;
            let Summary { open_ms, open_ratio, lookup_p50_ms, lookup_p50_ratio, lookup_p99_ms, .. } = summary;
            latencies.add_row([
                name.clone(),
                ms(open_ms),
                ratio(open_ratio),
                ms(lookup_p50_ms),
                ms(lookup_p99_ms),
                ratio(lookup_p50_ratio),
            ]);
            let [speed, _] = summary.rows_per_second.speed();
            let cpu =
                |spread: Option<Spread>| spread.map_or_else(|| "–".to_owned(), |cpu| format!("{:.2}", cpu.median));
            let (own, postgres) = (cpu(Some(summary.consumer_cpu)), cpu(summary.postgres_cpu));
            stored.add_row([name, speed, ratio(&summary.rows_per_second_ratio), own, postgres]);
        }
        write!(f, "{latencies}\n{stored}\n{} rounds of {} orders.", self.rounds.len(), self.orders)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::cpu::CpuTime;

    #[test]
    fn the_ratios_are_those_to_the_plain_connection_of_the_same_round_and_the_tables_fit_a_terminal() {
        let round = |slower: f64| -> Round {
            let figures = |path| {
                let factor = if path == Path::Plain { 1.0 } else { slower };
                let cpu = CpuTime { clients: 3.456, brokers: None, postgres: Some(12.0) };
                let fill = Fill { events_per_second: 90_000.0 / factor, cpu };
                Figures { open_ms: 4.0 * factor, lookup_p50_ms: 0.1 * factor, lookup_p99_ms: 1.0, fill }
            };
            Path::ALL.into_iter().map(|path| (path, figures(path))).collect()
        };
        let result = ConnectionsBenchResult::new(200_000, vec![round(2.0), round(4.0)]).unwrap();
        let tls = result.paths[&Path::Tls];
        assert_eq!((tls.open_ratio.lowest, tls.open_ratio.median, tls.open_ratio.highest), (2.0, 3.0, 4.0));
        assert_eq!(tls.rows_per_second_ratio.median, 0.375);
        assert_eq!(result.paths[&Path::Plain].lookup_p50_ratio.median, 1.0);
        let text = result.to_string();
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(ConnectionsBenchResult::new(1, Vec::new()).is_none());
    }
}
