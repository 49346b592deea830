//! Looks at Redis all the time and has a round whenever one is due, whatever dies meanwhile.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use redis::aio::ConnectionManager;
use shared::{
    cache::{self, CacheSettings, Contents},
    database::{DatabaseSettings, StatementClient, StatementMode, migrations::require_tables},
    retry::Backoff,
};
use tokio_util::sync::CancellationToken;

use crate::{
    freshness::freshness,
    health::{Health, Obstacle},
    metrics,
    report::report,
    round::{Cached, Refill, Round, refill, run_round},
    settings::AgingSettings,
    turn::When,
};

/// Time between two looks at Redis: one that was emptied is filled again within 2 s.
const LOOK: Duration = Duration::from_millis(500);
/// Most time that counting rows may take, during which nobody looks at Redis.
const COUNTING: Duration = Duration::from_secs(1);
/// The share of the time that goes into counting rows is at most one in this.
const COUNTING_SHARE: u32 = 100;
/// Time between two looks at tables that were empty.
const EMPTY_TABLES: Duration = Duration::from_secs(2);
/// How long a single round waits for Redis.
const CONNECT: Duration = Duration::from_secs(10);
/// An instance that stands by lets the one that does the rounds go first, by this at most.
const STAND_BACK: Duration = Duration::from_secs(1);

/// Everything that rounds need.
pub struct CacheWorker {
    aging: AgingSettings,
    cache: CacheSettings,
    redis: ConnectionManager,
    database: DatabaseSettings,
    /// Opened again when it breaks.
    connection: Option<StatementClient>,
    health: Arc<Health>,
    expected: Expected,
    /// Whether a table had fewer rows than the cache takes.
    short: bool,
    next_round: Instant,
    /// After failures: not before.
    next_try: Instant,
    backoff: Backoff,
    next_count: Instant,
    /// When the cache was last replaced, by whoever, and when that was seen.
    refreshed: (Option<DateTime<Utc>>, Instant),
}

/// What the cache should have: a table without rows leaves nothing to miss.
#[derive(Clone, Copy, Debug)]
struct Expected {
    users: bool,
    products: bool,
}

enum Work {
    Round,
    Refill,
}

impl CacheWorker {
    /// One that has done nothing yet; neither Redis nor the database need be there.
    ///
    /// # Errors
    /// When the address of Redis is none.
    pub fn new(
        aging: AgingSettings,
        cache: CacheSettings,
        database: DatabaseSettings,
        health: Arc<Health>,
    ) -> anyhow::Result<Self> {
        let (redis, now) = (cache.connect_lazily()?, Instant::now());
        Ok(Self {
            aging,
            cache,
            redis,
            database,
            connection: None,
            health,
            expected: Expected::BOTH,
            short: false,
            next_round: now,
            next_try: now,
            backoff: Backoff::start(),
            next_count: now,
            refreshed: (None, now),
        })
    }

    /// A single round now, due or not.
    ///
    /// # Errors
    /// When the round fails, or there is nothing to cache.
    pub async fn once(&mut self) -> anyhow::Result<()> {
        self.redis = self.cache.connect(CONNECT).await?;
        loop {
            match self.round(When::Now).await? {
                Round::Cached(_) => return Ok(()),
                Round::NothingToCache => bail!("the tables of {} are empty: run `orderdb seed` first", self.database),
                Round::Busy | Round::NotDue(_) => bail!("another instance is in its round: try again"),
                Round::Outrun => {}
            }
        }
    }

    /// Rounds until `stop`.
    pub async fn run(&mut self, stop: CancellationToken) {
        loop {
            // A round under way is finished or rolled back by the database: stopping in the middle of one is safe.
            let Some(wait) = stop.run_until_cancelled(self.step()).await else { return };
            if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                return;
            }
        }
    }

    /// Does what there is to do, and says how long to wait for the next.
    async fn step(&mut self) -> Duration {
        let contents = match cache::contents(&mut self.redis, &self.cache.keys()).await {
            Ok(contents) => contents,
            Err(error) => {
                self.health.report(
                    Obstacle::Redis,
                    format!("Redis at {} does not answer, the rounds wait for it: {error}", self.cache.address()),
                );
                return LOOK;
            }
        };
        self.health.clear(Obstacle::Redis);
        let lost = self.look(contents);
        let now = Instant::now();
        let due = self.next_round <= now;
        if self.next_try <= now && (lost || due) {
            let work = if lost { Work::Refill } else { Work::Round };
            self.try_to(work).await;
        }
        let next = self.next_round.max(self.next_try).saturating_duration_since(Instant::now());
        next.clamp(Duration::from_millis(1), LOOK)
    }

    /// Whether the cache lacks what it should have.
    fn look(&mut self, contents: Contents) -> bool {
        let Contents { users, products, refreshed_at } = contents;
        for (table, rows) in [("users", users), ("products", products)] {
            ::metrics::gauge!(metrics::CACHED_ROWS, "table" => table).set(rows as f64);
        }
        if let Some(at) = refreshed_at {
            ::metrics::gauge!(metrics::REFRESHED_AT).set(at.timestamp_millis() as f64 / 1_000.0);
        }
        if users > 0 && products > 0 {
            self.health.clear(Obstacle::Cache);
        } else {
            let what = format!("the cache has {users} users and {products} products");
            self.health.report(Obstacle::Cache, what);
        }
        self.look_at_age(refreshed_at);
        (self.expected.users && users == 0) || (self.expected.products && products == 0)
    }

    /// By the time that passes here, since the clock of the database may be another.
    fn look_at_age(&mut self, refreshed_at: Option<DateTime<Utc>>) {
        if self.refreshed.0 != refreshed_at {
            self.refreshed = (refreshed_at, Instant::now());
            self.health.clear(Obstacle::Age);
        }
        let age = self.refreshed.1.elapsed();
        if age > self.aging.interval * 2 + self.aging.patience() * 2 {
            let age = humantime::format_duration(Duration::from_secs(age.as_secs()));
            self.health.report(Obstacle::Age, format!("no worker has replaced the cache for {age}"));
        }
    }

    async fn try_to(&mut self, work: Work) {
        let tried = match work {
            Work::Refill => self.refill().await,
            Work::Round => self.round(When::Due).await.map(drop),
        };
        match tried {
            Ok(()) => {
                self.health.clear(Obstacle::Rounds);
                self.backoff = Backoff::start();
            }
            Err(error) => {
                ::metrics::counter!(metrics::ROUNDS, "outcome" => "failed").increment(1);
                let what = format!("a round failed and is tried again until it succeeds: {error:#}");
                self.health.report(Obstacle::Rounds, what);
                self.next_try = Instant::now() + self.backoff.next_delay();
            }
        }
    }

    async fn refill(&mut self) -> anyhow::Result<()> {
        let (aging, keys) = (self.aging, self.cache.keys());
        let mut connection = self.connection().await?;
        let filling = refill(&mut connection, &mut self.redis, &keys, aging);
        let filled = within(aging.patience() * 2, filling).await?;
        self.connection = Some(connection);
        match filled {
            Refill::Refilled { users, products } => {
                ::metrics::counter!(metrics::REFILLS).increment(1);
                tracing::info!(users, products, "Redis had lost the cache: those cached last are back, none was aged");
                self.expected = Expected { users: users > 0, products: products > 0 };
                if users == 0 || products == 0 { self.round(When::Now).await.map(drop) } else { Ok(()) }
            }
            Refill::NothingCached => self.round(When::Now).await.map(drop),
            Refill::Busy => {
                self.next_try = Instant::now() + LOOK;
                Ok(())
            }
            Refill::Full | Refill::Outrun => Ok(()),
        }
    }

    /// One round; a failed one drops the connection, so that the next opens a new one.
    async fn round(&mut self, when: When) -> anyhow::Result<Round> {
        let (aging, keys) = (self.aging, self.cache.keys());
        let mut connection = self.connection().await?;
        let running = run_round(&mut connection, &mut self.redis, &keys, aging, when);
        let round = within(aging.patience() * 2, running).await?;
        self.next_round = Instant::now()
            + match round {
                Round::Cached(cached) => cached.next,
                Round::NothingToCache => aging.interval.min(EMPTY_TABLES),
                Round::NotDue(wait) if wait < LOOK => wait,
                Round::NotDue(wait) => wait + STAND_BACK.min(aging.interval / 5),
                Round::Busy => LOOK.min(aging.interval),
                Round::Outrun => Duration::ZERO,
            };
        report(round, &self.database, &self.health);
        self.expected = self.expected.after(round);
        self.look_at_size(round);
        self.connection = match round {
            Round::Cached(_) if self.next_count <= Instant::now() => self.count(connection).await,
            _ => Some(connection),
        };
        Ok(round)
    }

    /// Says once that a table fills less than the cache.
    fn look_at_size(&mut self, round: Round) {
        let Round::Cached(Cached { users, products, .. }) = round else { return };
        let short = users.total().min(products.total()) < self.aging.size as usize;
        if short && !self.short {
            let (users, products, size) = (users.total(), products.total(), self.aging.size);
            tracing::info!(
                "the cache has {users} users and {products} products, for {size} of each: the tables have no more"
            );
        }
        self.short = short;
    }

    /// Exports how far the tables have come round, and gives the connection back if it is still of use.
    async fn count(&mut self, mut connection: StatementClient) -> Option<StatementClient> {
        let started = Instant::now();
        let counted = within(COUNTING * 2, freshness(&mut connection, COUNTING)).await;
        self.next_count = Instant::now() + started.elapsed() * COUNTING_SHARE;
        match counted {
            Ok(tables) => {
                tables.iter().for_each(|table| table.record(self.aging.size as usize, self.aging.interval));
                Some(connection)
            }
            Err(error) => {
                tracing::warn!("the rows of the tables can't be counted: {error:#}");
                None
            }
        }
    }

    async fn connection(&mut self) -> anyhow::Result<StatementClient> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        require_tables(&self.database).await?;
        // Without names, which works behind a pooler too; at this rate planning costs nothing.
        StatementClient::connect(&self.database, StatementMode::Unnamed, self.aging.patience()).await
    }
}

impl Expected {
    const BOTH: Self = Self { users: true, products: true };

    fn after(self, round: Round) -> Self {
        match round {
            Round::Cached(cached) => Self { users: cached.users.total() > 0, products: cached.products.total() > 0 },
            Round::NothingToCache => Self { users: false, products: false },
            // Whoever had the last round found something; a refill tells what.
            Round::NotDue(_) if !self.users && !self.products => Self::BOTH,
            Round::NotDue(_) | Round::Busy | Round::Outrun => self,
        }
    }
}

/// A dependency that went silent must not hold the worker for ever; the server rolls back when the connection goes.
async fn within<T, E>(deadline: Duration, work: impl Future<Output = Result<T, E>>) -> anyhow::Result<T>
where
    anyhow::Error: From<E>,
{
    let worked = tokio::time::timeout(deadline, work).await;
    Ok(worked.with_context(|| format!("not done within {deadline:?}"))??)
}
