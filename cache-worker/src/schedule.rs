//! Checks Redis several times per second, runs a round when one is due, refills a Redis that lost its rows, and retries
//! after failures.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use redis::aio::ConnectionManager;
use shared::{
    cache::{self, CacheSettings},
    database::{DatabaseSettings, ReconnectingClient, StatementClient, StatementMode, migrations::require_tables},
    health::Health,
    retry::Backoff,
    service_manager::Heartbeat,
};
use tokio_util::sync::CancellationToken;

use crate::{
    cache_monitor::CacheMonitor,
    earlier_keys::warn_of_earlier_keys,
    freshness::FreshnessExporter,
    health::CacheIssue,
    metrics,
    refill::{RefillOutcome, refill},
    round::{RoundOutcome, run_round},
    round_lock::Trigger,
    round_report::RoundReporter,
    settings::AgingSettings,
};

/// Connections to PostgreSQL of an instance at most: that of its rounds, and one that looks for the tables before it is
/// opened.
pub const MAX_CONNECTIONS: usize = 2;
/// Time between two checks of Redis. Short enough that an emptied Redis is filled again within 2 s.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// Time between two rounds while both tables are empty.
const EMPTY_TABLES_INTERVAL: Duration = Duration::from_secs(2);
/// How long `--once` waits for Redis.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum delay after the due time before a standby instance tries the round.
const STANDBY_DELAY: Duration = Duration::from_secs(1);

/// Checks Redis, and runs rounds and refills: one instance of the cache-worker.
pub struct CacheWorker {
    aging: AgingSettings,
    cache: CacheSettings,
    redis: ConnectionManager,
    database: ReconnectingClient,
    health: Arc<Health<CacheIssue>>,
    heartbeat: Heartbeat,
    monitor: CacheMonitor,
    reporter: RoundReporter,
    freshness: FreshnessExporter,
    looked_for_earlier_keys: bool,
    next_round: Instant,
    /// After a failure, no round or refill is tried before this time.
    next_try: Instant,
    backoff: Backoff,
}

impl CacheWorker {
    /// Creates a worker without connecting. It is not ready before its first check of Redis.
    ///
    /// # Errors
    /// When the URL of Redis is not valid.
    pub fn new(aging: AgingSettings, cache: CacheSettings, database: DatabaseSettings) -> anyhow::Result<Self> {
        let (redis, now) = (cache.connect_lazily()?, Instant::now());
        let health = Arc::new(Health::with_issue(CacheIssue::CacheIncomplete, "cache: not checked yet"));
        Ok(Self {
            aging,
            cache,
            redis,
            // Unnamed statements work behind a pooler too. At this rate, planning each one again costs nothing.
            database: ReconnectingClient::new(database, StatementMode::Unnamed, aging.step_timeout()),
            health: health.clone(),
            heartbeat: Heartbeat::default(),
            monitor: CacheMonitor::new(aging),
            reporter: RoundReporter::new(health, aging),
            freshness: FreshnessExporter::new(aging),
            looked_for_earlier_keys: false,
            next_round: now,
            next_try: now,
            backoff: Backoff::start(),
        })
    }

    pub fn health(&self) -> &Arc<Health<CacheIssue>> {
        &self.health
    }

    /// Beats with each step. A step takes up to some 75 s when each of its timeouts is just not over.
    pub fn heartbeat(&self) -> &Heartbeat {
        &self.heartbeat
    }

    /// Runs a single round now, due or not.
    ///
    /// # Errors
    /// When the round fails, or there is nothing to cache.
    pub async fn once(&mut self) -> anyhow::Result<()> {
        self.redis = self.cache.connect(CONNECT_TIMEOUT).await?;
        warn_of_earlier_keys(&mut self.redis, &self.cache).await;
        loop {
            match self.round(Trigger::Always).await? {
                RoundOutcome::Cached(_) => return Ok(()),
                RoundOutcome::TablesEmpty => {
                    let database = self.database.settings();
                    bail!("tables users and products of {database} are empty: run `orderdb seed` first")
                }
                RoundOutcome::Busy | RoundOutcome::NotDue(_) => {
                    bail!("another instance is in a cache round: try again")
                }
                RoundOutcome::StaleEpoch => {}
            }
        }
    }

    /// Runs rounds until `stop`.
    pub async fn run(&mut self, stop: CancellationToken) {
        while let Some(wait) = stop.run_until_cancelled(self.step()).await {
            self.heartbeat.beat();
            if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                break;
            }
        }
        // The server rolls back a round that the stop interrupted.
        self.database.disconnect();
    }

    /// Runs the refill or round that is due. Returns the time to wait until the next step.
    async fn step(&mut self) -> Duration {
        let contents = match cache::contents(&mut self.redis, &self.cache.keys()).await {
            Ok(contents) => contents,
            Err(error) => {
                let address = self.cache.address();
                let message = format!("Redis: no answer from {address}, rounds wait: {error}");
                self.health.report(CacheIssue::RedisUnreachable, message);
                return CHECK_INTERVAL;
            }
        };
        self.health.resolve(CacheIssue::RedisUnreachable);
        if !std::mem::replace(&mut self.looked_for_earlier_keys, true) {
            warn_of_earlier_keys(&mut self.redis, &self.cache).await;
        }
        self.monitor.observe(contents, &self.health);
        let (now, rows_are_missing) = (Instant::now(), self.monitor.rows_are_missing(contents));
        if self.next_try <= now && (rows_are_missing || self.next_round <= now) {
            let result =
                if rows_are_missing { self.refill().await } else { self.round(Trigger::IfDue).await.map(drop) };
            self.schedule_retry_after(result);
        }
        let next = self.next_round.max(self.next_try).saturating_duration_since(Instant::now());
        next.clamp(Duration::from_millis(1), CHECK_INTERVAL)
    }

    fn schedule_retry_after(&mut self, result: anyhow::Result<()>) {
        match result {
            Ok(()) => {
                self.health.resolve(CacheIssue::RoundFailed);
                self.health.resolve(CacheIssue::SwapFailed);
                self.backoff = Backoff::start();
            }
            Err(error) => {
                ::metrics::counter!(metrics::ROUNDS, "outcome" => "failed").increment(1);
                let message = format!("cache round: failed, retrying until it succeeds: {error:#}");
                let issue = CacheIssue::of_failed_round(&error);
                if issue == CacheIssue::SwapFailed {
                    // PostgreSQL had answered until then.
                    self.health.resolve(CacheIssue::RoundFailed);
                }
                self.health.report(issue, message);
                self.next_try = Instant::now() + self.backoff.next_delay();
            }
        }
    }

    async fn refill(&mut self) -> anyhow::Result<()> {
        let (aging, keys) = (self.aging, self.cache.keys());
        let database = connect(&mut self.database).await?;
        let refilling = refill(database, &mut self.redis, &keys, aging);
        let result = within(aging.round_timeout(), refilling).await;
        match self.disconnect_if_failed(result)? {
            RefillOutcome::Refilled { users, products } => {
                ::metrics::counter!(metrics::REFILLS).increment(1);
                tracing::info!(
                    users,
                    products,
                    "cache: Redis had lost its rows; the rows of the last round are restored"
                );
                self.monitor.expect_rows(users, products);
                if users == 0 || products == 0 { self.round(Trigger::Always).await.map(drop) } else { Ok(()) }
            }
            RefillOutcome::NothingCached => self.round(Trigger::Always).await.map(drop),
            RefillOutcome::Busy => {
                self.next_try = Instant::now() + CHECK_INTERVAL;
                Ok(())
            }
            RefillOutcome::Full | RefillOutcome::StaleEpoch => Ok(()),
        }
    }

    async fn round(&mut self, trigger: Trigger) -> anyhow::Result<RoundOutcome> {
        let (aging, keys) = (self.aging, self.cache.keys());
        let database = connect(&mut self.database).await?;
        let running = run_round(database, &mut self.redis, &keys, aging, trigger);
        let result = within(aging.round_timeout(), running).await;
        let round = self.disconnect_if_failed(result)?;
        self.next_round = Instant::now() + wait_after(round, aging);
        self.reporter.report(round, self.database.settings());
        self.monitor.expect_result_of(round);
        if matches!(round, RoundOutcome::Cached(_)) && self.freshness.is_due() {
            self.export_freshness().await;
        }
        Ok(round)
    }

    /// A failed or late round may leave a transaction open. The server rolls it back once the connection is closed.
    fn disconnect_if_failed<T>(&mut self, result: anyhow::Result<T>) -> anyhow::Result<T> {
        if result.is_err() {
            self.database.disconnect();
        }
        result
    }

    async fn export_freshness(&mut self) {
        let Some(database) = self.database.open() else { return };
        if let Err(error) = self.freshness.export(database).await {
            tracing::warn!("metrics: the rows of the tables can't be counted: {error:#}");
            self.database.disconnect();
        }
    }
}

/// Returns the open connection. Before it opens a new one, it checks that the tables exist.
async fn connect(database: &mut ReconnectingClient) -> anyhow::Result<&mut StatementClient> {
    if !database.is_connected() {
        require_tables(database.settings()).await?;
    }
    database.connected().await
}

/// Time from the end of a round to the next try.
fn wait_after(round: RoundOutcome, aging: AgingSettings) -> Duration {
    match round {
        RoundOutcome::Cached(cached) => cached.next,
        RoundOutcome::TablesEmpty => aging.interval.min(EMPTY_TABLES_INTERVAL),
        RoundOutcome::NotDue(wait) if wait < CHECK_INTERVAL => wait,
        RoundOutcome::NotDue(wait) => wait + STANDBY_DELAY.min(aging.interval / 5),
        RoundOutcome::Busy => CHECK_INTERVAL.min(aging.interval),
        RoundOutcome::StaleEpoch => Duration::ZERO,
    }
}

/// Fails `work` after `timeout`, so that a dependency that stops answering does not block the instance forever.
async fn within<T, E>(timeout: Duration, work: impl Future<Output = Result<T, E>>) -> anyhow::Result<T>
where
    anyhow::Error: From<E>,
{
    let finished = tokio::time::timeout(timeout, work).await;
    Ok(finished.with_context(|| format!("not finished within {timeout:?}"))??)
}
