//! Logs and counts the outcome of a round, and reports it to health.

use std::{fmt::Display, sync::Arc};

use shared::health::Health;

use crate::{
    health::CacheIssue,
    metrics,
    round::{CachedRound, RoundOutcome},
    settings::AgingSettings,
};

pub struct RoundReporter {
    health: Arc<Health<CacheIssue>>,
    aging: AgingSettings,
    /// Whether the last round found fewer rows than fit into the cache.
    underfilled: bool,
}

impl RoundReporter {
    pub fn new(health: Arc<Health<CacheIssue>>, aging: AgingSettings) -> Self {
        Self { health, aging, underfilled: false }
    }

    pub fn report(&mut self, round: RoundOutcome, database: &impl Display) {
        let outcome = match round {
            RoundOutcome::Cached(_) => "cached",
            RoundOutcome::TablesEmpty => "empty",
            RoundOutcome::NotDue(_) => "not_due",
            RoundOutcome::Busy => "busy",
            RoundOutcome::StaleEpoch => "stale_epoch",
        };
        ::metrics::counter!(metrics::ROUNDS, "outcome" => outcome).increment(1);
        match round {
            RoundOutcome::Cached(cached) => {
                self.health.resolve(CacheIssue::TablesEmpty);
                self.report_cached(cached);
            }
            RoundOutcome::TablesEmpty => {
                let message = format!(
                    "tables users and products of {database} are empty, the cache is not changed: run `orderdb seed`"
                );
                self.health.report(CacheIssue::TablesEmpty, message);
            }
            RoundOutcome::NotDue(wait) => {
                tracing::debug!(?wait, "cache round: not due yet");
                // The instance that had the last round found rows.
                self.health.resolve(CacheIssue::TablesEmpty);
            }
            RoundOutcome::Busy => tracing::debug!("cache round: another instance is in a round"),
            RoundOutcome::StaleEpoch => tracing::info!(
                "cache round: Redis has a later epoch than the database; the next round uses a greater one"
            ),
        }
    }

    fn report_cached(&mut self, cached: CachedRound) {
        let CachedRound { users, products, took, .. } = cached;
        ::metrics::histogram!(metrics::ROUND_SECONDS).record(took.as_secs_f64());
        for (table, rows) in [("users", users), ("products", products)] {
            ::metrics::counter!(metrics::ROWS, "table" => table, "age" => "new").increment(rows.new as u64);
            ::metrics::counter!(metrics::ROWS, "table" => table, "age" => "aged").increment(rows.aged as u64);
        }
        tracing::info!(
            new_users = users.new,
            aged_users = users.aged,
            new_products = products.new,
            aged_products = products.aged,
            took_ms = took.as_millis() as u64,
            "cache: refreshed"
        );
        let (users, products, size) = (users.total(), products.total(), self.aging.size);
        let underfilled = users.min(products) < size as usize;
        if underfilled && !self.underfilled {
            tracing::info!(
                "cache: not full, the tables have only {users} users and {products} products for {size} places each"
            );
        }
        self.underfilled = underfilled;
    }
}
