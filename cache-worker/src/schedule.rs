//! A round at once, then one at each interval, whatever dies meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, ensure};
use diesel_async::AsyncPgConnection;
use redis::aio::ConnectionManager;
use shared::{
    cache::CacheSettings,
    database::{DatabaseSettings, connect_diesel},
    retry::Backoff,
};
use tokio_util::sync::CancellationToken;

use crate::{
    metrics,
    round::{Round, run_round},
    settings::AgingSettings,
};

/// A round takes some tens of milliseconds.
const ROUND_DEADLINE: Duration = Duration::from_secs(15);

/// Everything that a round needs.
pub struct CacheWorker {
    /// The aging rule.
    pub aging: AgingSettings,
    /// The cache's settings.
    pub cache: CacheSettings,
    /// The connection to the cache.
    pub redis: ConnectionManager,
    /// The tables' settings.
    pub database: DatabaseSettings,
    /// The connection to the tables; opened again when it breaks.
    pub connection: Option<AsyncPgConnection>,
}

impl CacheWorker {
    /// One round; a failed one drops the connection, so that the next opens a new one.
    ///
    /// # Errors
    /// When PostgreSQL or Redis fails.
    pub async fn round(&mut self) -> anyhow::Result<Round> {
        // A database that went silent must not hold the worker for ever; the server rolls back when the connection goes.
        let (round, connection) = tokio::time::timeout(ROUND_DEADLINE, async {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => connect_diesel(&self.database).await?,
            };
            let keys = self.cache.keys();
            let round = run_round(&mut connection, &mut self.redis, &keys, self.aging.size as usize).await?;
            anyhow::Ok((round, connection))
        })
        .await
        .with_context(|| format!("the round was not done within {ROUND_DEADLINE:?}"))??;
        self.connection = Some(connection);
        report(round);
        Ok(round)
    }

    /// A single round.
    ///
    /// # Errors
    /// When the round fails, or there is nothing to cache.
    pub async fn once(&mut self) -> anyhow::Result<()> {
        let round = self.round().await?;
        ensure!(round != Round::Busy, "another instance is in its round: try again");
        ensure!(round != Round::NothingToCache, "the tables of {} are empty: run `orderdb seed` first", self.database);
        Ok(())
    }

    /// Rounds until `stop`. `fresh` says whether the last one succeeded. A round that overran its interval is followed by
    /// the next due one; those missed meanwhile are not made up for.
    pub async fn run(&mut self, fresh: Arc<AtomicBool>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(self.aging.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            // A round under way is finished or rolled back by the database: stopping in the middle of one is safe.
            if stop.run_until_cancelled(self.round_until_it_succeeds(&fresh)).await.is_none() {
                return;
            }
        }
    }

    async fn round_until_it_succeeds(&mut self, fresh: &AtomicBool) {
        let mut backoff = Backoff::start();
        let mut failed = false;
        let round = loop {
            let error = match self.round().await {
                Ok(round) => break round,
                Err(error) => error,
            };
            fresh.store(false, Ordering::Relaxed);
            ::metrics::counter!(metrics::ROUNDS, "outcome" => "failed").increment(1);
            if !std::mem::replace(&mut failed, true) {
                tracing::warn!("the round failed and is tried again until it succeeds: {error:#}");
            }
            tokio::time::sleep(backoff.next_delay()).await;
        };
        if failed {
            tracing::info!("rounds succeed again");
        }
        // Another instance's round may yet fail, and says nothing of the cache.
        if round != Round::Busy {
            fresh.store(true, Ordering::Relaxed);
        }
    }
}

fn report(round: Round) {
    match round {
        Round::Cached(cached) => tracing::info!(
            users = cached.users,
            new_users = cached.new_users,
            products = cached.products,
            new_products = cached.new_products,
            took_ms = cached.took.as_millis() as u64,
            "cache refreshed"
        ),
        Round::NothingToCache => tracing::warn!("the tables are empty, the cache is left as it is: run `orderdb seed`"),
        Round::Busy => tracing::info!("another instance is in its round"),
    }
}
