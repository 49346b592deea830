//! Looks up the attributes that an order lacks: region, gender, age group and category. Per batch: in the cache of this
//! process, then in Redis for the ids that it does not have, then by one `= ANY` for those that Redis does not have.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use redis::{RedisError, aio::ConnectionManager};
use shared::{
    cache::CacheKeys,
    catalog::{Product, ProductId, User, UserId},
    database::{SqlError, StatementClient},
    lookup::{CacheHealth, CachedRow, LookupRow, RowCache, select_rows},
    wire::ReceivedOrder,
};
use tokio::sync::{Mutex, MutexGuard};

use super::lookup_cache::{ById, Ids, LookupCache, MemorySize};
use crate::{
    health::{ConsumerHealth, ConsumerIssue},
    metrics,
    model::{OrderRow, ProductAttributes, RejectReason, UserAttributes},
    retry_scope::{Cancelled, RetryScope},
    sink::database::OrderDatabase,
};

/// Interval at which a worker that waits for the lookup lock checks for cancellation.
const CANCEL_CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// The users and products of a batch. An id that is missing here is in no table.
#[derive(Debug, Default)]
pub struct Attributes {
    users: ById<UserId, UserAttributes>,
    products: ById<ProductId, ProductAttributes>,
}

impl Attributes {
    /// Enriches an order.
    ///
    /// # Errors
    /// When its user or product is in no table.
    pub fn enrich(&self, order: ReceivedOrder) -> Result<OrderRow, RejectReason> {
        let (user, product) = (&order.event.user_id, &order.event.product_id);
        let unknown_user = || RejectReason::UnknownUser(user.to_string());
        let unknown_product = || RejectReason::UnknownProduct(product.to_string());
        let user = self.users.get(user).cloned().ok_or_else(unknown_user)?;
        let product = self.products.get(product).cloned().ok_or_else(unknown_product)?;
        Ok(OrderRow { order, user, product })
    }
}

impl MemorySize for UserAttributes {
    fn text_bytes(&self) -> usize {
        self.gender.len() + self.age_group.len() + self.region.len()
    }
}

impl MemorySize for ProductAttributes {
    fn text_bytes(&self) -> usize {
        self.category.len()
    }
}

/// Why a lookup has no result.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    #[error("{0:#}")]
    Connection(anyhow::Error),
    #[error(transparent)]
    Database(#[from] SqlError),
}

/// Looks up users and products. Shared by all workers.
pub struct Enricher {
    users: LookupCache<UserId, UserAttributes>,
    products: LookupCache<ProductId, ProductAttributes>,
    redis: Arc<RowCache>,
    /// Locked during a lookup in Redis and PostgreSQL, so that two workers never look up the same id at the same time.
    lookup_lock: Mutex<()>,
}

/// Reports an outage of Redis as an issue of the consumer.
struct ReportedOutage(Arc<ConsumerHealth>);

impl CacheHealth for ReportedOutage {
    fn works(&self) {
        self.0.resolve(ConsumerIssue::Redis);
    }

    fn fails(&self, error: &RedisError) {
        let message = format!("Redis: no answer, users and products are looked up in PostgreSQL: {error}");
        self.0.report(ConsumerIssue::Redis, message);
    }
}

impl Enricher {
    /// Starts with empty caches, whose entries expire after `ttl`. While Redis does not answer, lookups go to the
    /// database.
    pub fn new(redis: ConnectionManager, keys: CacheKeys, ttl: Duration, health: Arc<ConsumerHealth>) -> Self {
        Self {
            users: LookupCache::new(ttl),
            products: LookupCache::new(ttl),
            redis: Arc::new(RowCache::new(redis, keys, ReportedOutage(health))),
            lookup_lock: Mutex::new(()),
        }
    }

    /// Looks up these users and products. The database is needed only for ids that neither this process nor Redis has;
    /// a Redis that fails is no error.
    ///
    /// # Errors
    /// [`LookupError`] when the database fails, or `scope` is cancelled.
    pub async fn lookup(
        &self,
        users: Ids<'_, UserId>,
        products: Ids<'_, ProductId>,
        database: &mut OrderDatabase,
        scope: &mut RetryScope<'_>,
    ) -> Result<Attributes, LookupError> {
        let mut found = Attributes::default();
        let (users, products) = self.find_in_process(users, products, &mut found);
        if users.is_empty() && products.is_empty() {
            return Ok(found);
        }
        let _lookup = self.lock_lookups(scope).await?;
        // Another worker may have looked them up meanwhile.
        let (users, products) = self.find_in_process(users, products, &mut found);
        // At the same time, so that both wait for Redis once.
        let (users, products) = tokio::join!(
            self.find_in_redis(&self.users, users, &mut found.users),
            self.find_in_redis(&self.products, products, &mut found.products),
        );
        if users.is_empty() && products.is_empty() {
            return Ok(found);
        }
        // Not retried here: while this worker can't connect, the others must be able to look up.
        let client = database.connected_once(scope).await?.map_err(LookupError::Connection)?;
        scope.run(self.find_in_database(users, products, client, &mut found)).await??;
        Ok(found)
    }

    async fn lock_lookups(&self, scope: &RetryScope<'_>) -> Result<MutexGuard<'_, ()>, Cancelled> {
        loop {
            scope.check()?;
            let locking = tokio::time::timeout(CANCEL_CHECK_INTERVAL, self.lookup_lock.lock());
            if let Ok(guard) = scope.run(locking).await? {
                return Ok(guard);
            }
        }
    }

    /// Looks up in the cache of this process. Returns the ids that it does not have.
    fn find_in_process<'a>(
        &self,
        users: Ids<'a, UserId>,
        products: Ids<'a, ProductId>,
        found: &mut Attributes,
    ) -> (Ids<'a, UserId>, Ids<'a, ProductId>) {
        let queried = (users.len(), products.len());
        let users = self.users.get(users, &mut found.users);
        let products = self.products.get(products, &mut found.products);
        count(User::WHAT, "process", queried.0 - users.len());
        count(Product::WHAT, "process", queried.1 - products.len());
        (users, products)
    }

    /// Returns the ids that Redis does not have, or whose row in Redis is not valid.
    async fn find_in_redis<Row>(
        &self,
        cache: &LookupCache<IdOf<Row>, Row>,
        ids: Ids<'_, IdOf<Row>>,
        found: &mut ById<IdOf<Row>, Row>,
    ) -> Vec<IdOf<Row>>
    where
        Row: CachedRow + MemorySize + Send + Sync + 'static,
    {
        if ids.is_empty() {
            return Vec::new();
        }
        let result = self.redis.find::<Row>(ids.into_iter().cloned().collect()).await;
        count(Row::Whole::WHAT, "redis", result.found.len());
        ::metrics::counter!(metrics::INVALID_CACHE_ROWS, "what" => Row::Whole::WHAT).increment(result.invalid);
        for (id, row) in result.found {
            let row = Arc::new(row);
            cache.insert(id.clone(), Some(row.clone()));
            found.insert(id, row);
        }
        result.missing
    }

    async fn find_in_database(
        &self,
        users: Vec<UserId>,
        products: Vec<ProductId>,
        database: &mut StatementClient,
        found: &mut Attributes,
    ) -> Result<(), SqlError> {
        self.query(&self.users, users, database, &mut found.users).await?;
        self.query(&self.products, products, database, &mut found.products).await
    }

    /// Queries rows, and caches the result for each id, also that there is no row.
    async fn query<Row>(
        &self,
        cache: &LookupCache<IdOf<Row>, Row>,
        ids: Vec<IdOf<Row>>,
        database: &mut StatementClient,
        found: &mut ById<IdOf<Row>, Row>,
    ) -> Result<(), SqlError>
    where
        Row: CachedRow + MemorySize + for<'row> From<&'row Row::Whole> + Send + Sync + 'static,
    {
        if ids.is_empty() {
            return Ok(());
        }
        let queried_at = Instant::now();
        let rows = select_rows::<Row::Whole>(database, ids.iter().map(AsRef::as_ref).collect()).await?;
        let by_id: HashMap<&str, &Row::Whole> = rows.iter().map(|row| (row.id(), row)).collect();
        let all = ids.len();
        for id in ids {
            let row = by_id.get(id.as_ref()).map(|row| Arc::new(Row::from(row)));
            cache.insert(id.clone(), row.clone());
            if let Some(row) = row {
                found.insert(id, row);
            }
        }
        count(Row::Whole::WHAT, "database", rows.len());
        count(Row::Whole::WHAT, "unknown", all - rows.len());
        // The batch does not wait for it. At most one is under way per lookup, each no longer than a request to Redis.
        let redis = self.redis.clone();
        tokio::spawn(async move { redis.fill(&rows, queried_at).await });
        Ok(())
    }
}

/// The ids of the rows of which `Row` is a part.
type IdOf<Row> = <<Row as CachedRow>::Whole as LookupRow>::Id;

fn count(what: &'static str, step: &'static str, ids: usize) {
    ::metrics::counter!(metrics::LOOKUPS, "what" => what, "step" => step).increment(ids as u64);
}
