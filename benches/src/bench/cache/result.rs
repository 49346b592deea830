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

/// Statements a minute.
#[derive(Debug, Serialize)]
pub struct StatementsPerMinute {
    /// With the cache: all statements are the cache-worker's.
    pub cached: f64,
    /// Without a cache, at the rate of the producer.
    pub straight: f64,
    /// Without a cache, at one lookup a second.
    pub straight_at_one_a_second: f64,
    pub rounds_a_minute: f64,
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
    pub orders_a_second: u32,
    pub orders_a_second_achieved: f64,
    pub tables: Vec<TableResult>,
    pub statements_a_minute: StatementsPerMinute,
    /// Peak resident memory of the cache-worker.
    pub cache_worker_bytes: u64,
    pub ratios: Ratios,
}

pub fn report(result: &CacheBenchResult) -> Report {
    let mut report = Report::about("a random user", "p50 / p99 ms");
    for TableResult { users, round_ms, slowest_round_ms, lookups } in &result.tables {
        let cache = lookups.cache.p50;
        let mut line = |what: &str, of: &LatencySummary, meaning: String| {
            report.line(what, format!("{:.3} / {:.3}", of.p50, of.p99), meaning);
        };
        let slower = |of: &LatencySummary| format!("{:.1} × as long as the cache", of.p50 / cache);
        line(
            &format!("{users} users: cache"),
            &lookups.cache,
            format!("{} lookups, one at a time", lookups.cache.count),
        );
        line("  500 at a time", &lookups.cache_bulk, "a call; what the producer does".to_owned());
        line("  ORDER BY random()", &lookups.order_by_random, slower(&lookups.order_by_random));
        let of_rows = format!("{}, nearly even", slower(&lookups.sample_of_rows));
        line("  TABLESAMPLE BERNOULLI", &lookups.sample_of_rows, of_rows);
        let of_pages = format!("{}, neighbours come together", slower(&lookups.sample_of_pages));
        line("  TABLESAMPLE SYSTEM", &lookups.sample_of_pages, of_pages);
        report.line("  a round", format!("{round_ms:.0} ms"), format!("the slowest of 10: {slowest_round_ms:.0} ms"));
    }
    let StatementsPerMinute { cached, straight, straight_at_one_a_second, rounds_a_minute } =
        result.statements_a_minute;
    let rate = result.orders_a_second;
    report.line(
        "statements a minute",
        format!("{cached:.1}"),
        format!("{rounds_a_minute:.1} rounds a minute, at any rate"),
    );
    let spared = format!("{:.3} % saved at {rate} orders a second", result.ratios.queries_saved * 100.0);
    report.line("  straight", format!("{straight:.0}"), spared);
    let spared = format!("{:.1} % saved at one lookup a second", (1.0 - cached / straight_at_one_a_second) * 100.0);
    report.line("  straight, slowly", format!("{straight_at_one_a_second:.0}"), spared);
    report.line("producer", format!("{:.1}/s", result.orders_a_second_achieved), format!("of {rate} asked"));
    report.line(
        "cache-worker",
        format!("{:.1} MiB", result.cache_worker_bytes as f64 / 1_048_576.0),
        "the most that it had",
    );
    report
}
