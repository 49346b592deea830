//! The result of `bench cache`, and its tables.

use std::fmt;

use indicatif::HumanCount;
use serde::Serialize;
use shared::{
    latency::LatencySummary,
    report::{align_right, table},
};

use super::lookups::Lookups;

/// One table size.
#[derive(Debug, Serialize)]
pub struct TableResult {
    pub users: u64,
    /// Median duration of a cache-worker round in milliseconds, from its begin to its commit.
    pub round_ms: f64,
    pub slowest_round_ms: f64,
    pub lookups: Lookups,
    pub ratios: Ratios,
}

/// The median latency of a lookup in the table divided by that of one in the cache.
#[derive(Debug, Serialize)]
pub struct Ratios {
    pub order_by_random: f64,
    pub sample_of_rows: f64,
    pub sample_of_pages: f64,
}

impl Ratios {
    pub fn of(lookups: &Lookups) -> Self {
        let ratio = |latency: &LatencySummary| latency.p50 / lookups.cache.p50;
        Self {
            order_by_random: ratio(&lookups.order_by_random),
            sample_of_rows: ratio(&lookups.sample_of_rows),
            sample_of_pages: ratio(&lookups.sample_of_pages),
        }
    }
}

/// Statements per minute.
#[derive(Debug, Serialize)]
pub struct StatementsPerMinute {
    /// With the cache: all statements are the cache-worker's.
    pub cached: f64,
    /// Without a cache, at the rate of the producer.
    #[serde(rename = "straight")]
    pub direct: f64,
    /// Without a cache, at one lookup per second.
    #[serde(rename = "straight_at_one_a_second")]
    pub direct_at_one_per_second: f64,
    #[serde(rename = "rounds_a_minute")]
    pub rounds_per_minute: f64,
}

#[derive(Debug, Serialize)]
pub struct CacheBenchResult {
    #[serde(rename = "orders_a_second")]
    pub orders_per_second: u32,
    #[serde(rename = "orders_a_second_achieved")]
    pub orders_per_second_achieved: f64,
    pub tables: Vec<TableResult>,
    #[serde(rename = "statements_a_minute")]
    pub statements_per_minute: StatementsPerMinute,
    /// Peak resident memory of the cache-worker.
    pub cache_worker_bytes: u64,
}

impl TableResult {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { users, round_ms, slowest_round_ms, lookups, ratios } = self;
        let title = format!("{} users, ms", HumanCount(*users));
        let mut latencies = table([title.as_str(), "p50", "p99", "max", "the cache's p50 ×"]);
        align_right(&mut latencies, 1..5);
        let mut row = |method: &str, latency: &LatencySummary, ratio: Option<f64>| {
            let figures = [latency.p50, latency.p99, latency.max].map(|milliseconds| format!("{milliseconds:.3}"));
            let ratio = ratio.map_or_else(String::new, |ratio| format!("{ratio:.1}"));
            latencies.add_row([method.to_owned()].into_iter().chain(figures).chain([ratio]));
        };
        row("cache", &lookups.cache, None);
        row("cache, 500 per command", &lookups.cache_bulk, None);
        row("ORDER BY random()", &lookups.order_by_random, Some(ratios.order_by_random));
        row("TABLESAMPLE BERNOULLI", &lookups.sample_of_rows, Some(ratios.sample_of_rows));
        row("TABLESAMPLE SYSTEM", &lookups.sample_of_pages, Some(ratios.sample_of_pages));
        writeln!(f, "{latencies}\nround of the cache-worker: median {round_ms:.0} ms, slowest {slowest_round_ms:.0} ms")
    }
}

impl fmt::Display for CacheBenchResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tables.iter().try_for_each(|table| table.write(f))?;
        let StatementsPerMinute { cached, direct, direct_at_one_per_second, rounds_per_minute } =
            self.statements_per_minute;
        let mut statements = table(["statements per minute", "", "the cache saves"]);
        align_right(&mut statements, 1..3);
        let saved = |without: f64| format!("{:.3} %", (1.0 - cached / without) * 100.0);
        let rate = self.orders_per_second;
        let rounds = format!("with the cache, {rounds_per_minute:.1} rounds, any rate");
        statements.add_row([rounds, format!("{cached:.1}"), String::new()]);
        statements.add_row([format!("direct, {rate} orders/s"), format!("{direct:.0}"), saved(direct)]);
        let slow = direct_at_one_per_second;
        statements.add_row(["direct, 1 lookup/s".to_owned(), format!("{slow:.0}"), saved(slow)]);
        let memory = self.cache_worker_bytes as f64 / 1_048_576.0;
        write!(
            f,
            "{statements}\nThe producer achieved {:.1} of {rate} orders/s. The cache-worker used {memory:.1} MiB.",
            self.orders_per_second_achieved
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_fit_a_terminal_and_have_a_ratio_for_each_size() {
        let slow = LatencySummary { p50: 123.456, p999: 1_234.567, max: 12_345.678, ..LatencySummary::default() };
        let fast = LatencySummary { p50: 0.1, ..LatencySummary::default() };
        let lookups = Lookups {
            cache: fast,
            cache_bulk: fast,
            order_by_random: slow,
            sample_of_rows: slow,
            sample_of_pages: slow,
            direct: 1_000,
            statements: 1_000,
        };
        let ratios = Ratios::of(&lookups);
        let result = CacheBenchResult {
            orders_per_second: 1_000,
            orders_per_second_achieved: 999.9,
            tables: vec![TableResult { users: 1_000_000, round_ms: 80.0, slowest_round_ms: 120.0, lookups, ratios }],
            statements_per_minute: StatementsPerMinute {
                cached: 15.0,
                direct: 120_000.0,
                direct_at_one_per_second: 60.0,
                rounds_per_minute: 1.2,
            },
            cache_worker_bytes: 20 << 20,
        };
        let text = result.to_string();
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let row = text.lines().find(|line| line.contains("TABLESAMPLE SYSTEM")).unwrap();
        assert!(row.contains("123.456") && row.contains("12345.678") && row.contains("1234.6"), "{text}");
        assert!(text.contains("99.987 %") && text.contains("75.000 %"), "{text}");
    }
}
