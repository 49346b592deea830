//! What a round did, for logs and metrics.

use crate::{
    health::{Health, Obstacle},
    metrics,
    round::{Cached, Round},
};

/// Tells of a round; `database` is the one that it was of.
pub fn report(round: Round, database: &impl std::fmt::Display, health: &Health) {
    let outcome = match round {
        Round::Cached(_) => "cached",
        Round::NothingToCache => "empty",
        Round::NotDue(_) => "not_due",
        Round::Busy => "busy",
        Round::Outrun => "outrun",
    };
    ::metrics::counter!(metrics::ROUNDS, "outcome" => outcome).increment(1);
    match round {
        Round::Cached(cached) => {
            health.clear(Obstacle::Tables);
            report_cached(cached);
        }
        Round::NothingToCache => {
            let what = format!("the tables of {database} are empty, the cache is left as it is: run `orderdb seed`");
            health.report(Obstacle::Tables, what);
        }
        Round::NotDue(wait) => {
            tracing::debug!(?wait, "the next round is not due yet");
            // Whoever had the last one found rows.
            health.clear(Obstacle::Tables);
        }
        Round::Busy => tracing::debug!("another instance is in its round"),
        Round::Outrun => tracing::info!("Redis has seen a later epoch than this database: going beyond it"),
    }
}

fn report_cached(cached: Cached) {
    let Cached { users, products, took, .. } = cached;
    ::metrics::histogram!(metrics::ROUND_SECONDS).record(took.as_secs_f64());
    for (table, share) in [("users", users), ("products", products)] {
        ::metrics::counter!(metrics::ROWS, "table" => table, "age" => "new").increment(share.new as u64);
        ::metrics::counter!(metrics::ROWS, "table" => table, "age" => "aged").increment(share.aged as u64);
    }
    tracing::info!(
        new_users = users.new,
        aged_users = users.aged,
        new_products = products.new,
        aged_products = products.aged,
        took_ms = took.as_millis() as u64,
        "cache refreshed"
    );
}
