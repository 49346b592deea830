//! The result of `bench cache`, and its report.

use serde::Serialize;
use shared::{latency::LatencySummary, report::Report};

use super::lookups::Lookups;

/// One table size.
#[derive(Debug, Serialize)]
pub struct TableResult {
    pub users: u64,
    /// Median duration of a cache-worker round in milliseconds, from its begin to its commit.
    pub round_ms: f64,
    pub slowest_round_ms: f64,
    pub lookups: Lookups,
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

/// Ratios of medians.
#[derive(Debug, Serialize)]
pub struct Ratios {
    /// Latency of `ORDER BY random()` divided by that of the cache.
    pub lookup: f64,
    /// Share of the statements that the cache saves, 0 to 1.
    pub queries_saved: f64,
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
    pub ratios: Ratios,
}

pub fn report(result: &CacheBenchResult) -> Report {
    let mut report = Report::about("bench", "cache");
    let rate = result.orders_per_second;
    report.line("producer", format!("{:.1}/s", result.orders_per_second_achieved), format!("target {rate}/s"));
    let StatementsPerMinute { cached, direct, direct_at_one_per_second, rounds_per_minute } =
        result.statements_per_minute;
    let rounds = format!("with a cache, {rounds_per_minute:.1} rounds per minute");
    report.line("statements per minute", format!("{cached:.1}"), rounds);
    let saved = result.ratios.queries_saved * 100.0;
    report.line("  without a cache", format!("{direct:.0}"), format!("at {rate} orders/s; {saved:.3} % saved"));
    let saved = (1.0 - cached / direct_at_one_per_second) * 100.0;
    let slow = format!("at 1 lookup/s; {saved:.1} % saved");
    report.line("  without a cache", format!("{direct_at_one_per_second:.0}"), slow);
    let memory = format!("{:.1} MiB", result.cache_worker_bytes as f64 / 1_048_576.0);
    report.line("cache-worker", memory, "peak memory");
    for TableResult { users, round_ms, slowest_round_ms, lookups } in &result.tables {
        let round = format!("median; slowest {slowest_round_ms:.0} ms");
        report.line(&format!("{users} users: round"), format!("{round_ms:.0} ms"), round);
        let Lookups { cache, cache_bulk, order_by_random, sample_of_rows, sample_of_pages, .. } = lookups;
        let times = |latency: &LatencySummary| format!("{:.1} ×", latency.p50 / cache.p50);
        report.line("  ORDER BY random()", times(order_by_random), "the cache's p50; uniform");
        report.line("  BERNOULLI", times(sample_of_rows), "the cache's p50; almost uniform");
        report.line("  SYSTEM", times(sample_of_pages), "the cache's p50; whole pages");
        report.latency(&format!("{users} users: cache"), cache);
        report.latency("  cache, 500 users", cache_bulk);
        report.latency("  ORDER BY random()", order_by_random);
        report.latency("  TABLESAMPLE BERNOULLI", sample_of_rows);
        report.latency("  TABLESAMPLE SYSTEM", sample_of_pages);
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_fits_a_terminal_of_80_columns_with_a_row_per_lookup_method() {
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
        let result = CacheBenchResult {
            orders_per_second: 1_000,
            orders_per_second_achieved: 999.9,
            tables: vec![TableResult { users: 1_000_000, round_ms: 80.0, slowest_round_ms: 120.0, lookups }],
            statements_per_minute: StatementsPerMinute {
                cached: 14.4,
                direct: 120_000.0,
                direct_at_one_per_second: 60.0,
                rounds_per_minute: 1.2,
            },
            cache_worker_bytes: 20 << 20,
            ratios: Ratios { lookup: 1_234.56, queries_saved: 0.99988 },
        };
        let text = report(&result).to_string();
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let row = text.lines().find(|line| line.contains("TABLESAMPLE SYSTEM")).unwrap();
        assert!(row.contains("123.456") && row.contains("12345.678"), "{text}");
    }
}
