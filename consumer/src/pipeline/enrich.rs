//! Looks up the attributes that an order lacks: region, gender, age group and category. Per batch: in the cache of this
//! process, then by one `HMGET` for the ids that it does not have, then by one `= ANY` for those that Redis does not
//! have.

use std::{
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use diesel::{ExpressionMethods, QueryDsl};
use redis::aio::ConnectionManager;
use shared::{
    cache::{self, CacheKeys},
    catalog::{ProductId, UserId},
    database::{
        SqlError, StatementClient,
        schema::{products, users},
    },
    wire::ReceivedOrder,
};
use tokio::sync::{Mutex, MutexGuard};

use super::{
    cached_row::{CachedProduct, CachedRow, CachedUser, InvalidRow},
    circuit_breaker::CircuitBreaker,
    lookup_cache::{ById, Ids, LookupCache, MemorySize},
};
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
    redis: ConnectionManager,
    keys: CacheKeys,
    redis_breaker: CircuitBreaker,
    health: Arc<ConsumerHealth>,
    has_logged_invalid_row: AtomicBool,
    /// Locked during a lookup in Redis and PostgreSQL, so that two workers never look up the same id at the same time.
    lookup_lock: Mutex<()>,
}

impl Enricher {
    /// Starts with empty caches, whose entries expire after `ttl`. While Redis does not answer, lookups go to the
    /// database.
    pub fn new(redis: ConnectionManager, keys: CacheKeys, ttl: Duration, health: Arc<ConsumerHealth>) -> Self {
        Self {
            users: LookupCache::new(ttl),
            products: LookupCache::new(ttl),
            redis,
            keys,
            redis_breaker: CircuitBreaker::default(),
            health,
            has_logged_invalid_row: AtomicBool::new(false),
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
        let users =
            self.find_in_redis::<_, CachedUser>("user", &self.users, &self.keys.users, users, &mut found.users).await;
        let (cache, key) = (&self.products, &self.keys.products);
        let products =
            self.find_in_redis::<_, CachedProduct>("product", cache, key, products, &mut found.products).await;
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
        count("user", "process", queried.0 - users.len());
        count("product", "process", queried.1 - products.len());
        (users, products)
    }

    /// Returns the ids that Redis does not have, or whose row in Redis is not valid.
    async fn find_in_redis<Id, Row>(
        &self,
        what: &'static str,
        cache: &LookupCache<Id, Row::Attributes>,
        key: &str,
        ids: Ids<'_, Id>,
        found: &mut ById<Id, Row::Attributes>,
    ) -> Vec<Id>
    where
        Id: AsRef<str> + Clone + Eq + Hash + Send + Sync + 'static,
        Row: CachedRow,
        Row::Attributes: MemorySize + Send + Sync + 'static,
    {
        let ids: Vec<Id> = ids.into_iter().cloned().collect();
        let rows = self.query_redis::<Row>(key, &texts(&ids)).await.unwrap_or_default();
        let (queried, mut rows, mut missing) = (ids.len(), rows.into_iter(), Vec::new());
        for id in ids {
            let row = rows.next().flatten().map(|row| row.and_then(|row| row.attributes(id.as_ref())));
            match row {
                Some(Ok(row)) => {
                    let row = Arc::new(row);
                    cache.insert(id.clone(), Some(row.clone()));
                    found.insert(id, row);
                }
                None => missing.push(id),
                Some(Err(invalid)) => {
                    self.count_invalid(what, key, id.as_ref(), &invalid);
                    missing.push(id);
                }
            }
        }
        count(what, "redis", queried - missing.len());
        missing
    }

    /// Counts a row of Redis that can't be used, and logs the first one.
    fn count_invalid(&self, what: &'static str, key: &str, id: &str, invalid: &InvalidRow) {
        ::metrics::counter!(metrics::INVALID_CACHE_ROWS, "what" => what).increment(1);
        if !self.has_logged_invalid_row.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "Redis: row {id:?} of {key} is not valid: {invalid}. It is looked up in PostgreSQL; further rows are \
                 counted and not logged. Check what writes to {key} besides the cache-worker"
            );
        }
    }

    /// None when the circuit breaker is open, or Redis does not answer.
    async fn query_redis<Row: CachedRow>(
        &self,
        key: &str,
        ids: &[&str],
    ) -> Option<Vec<Option<Result<Row, InvalidRow>>>> {
        if ids.is_empty() || !self.redis_breaker.allows_call(Instant::now(), cache::REQUEST_TIMEOUT) {
            return None;
        }
        match cache::lookup(&mut self.redis.clone(), key, ids).await {
            Ok(rows) => {
                self.redis_breaker.record_success();
                self.health.resolve(ConsumerIssue::Redis);
                let unreadable = |error: serde_json::Error| InvalidRow::Unreadable(error.to_string());
                Some(rows.into_iter().map(|row| row.map(|row| row.map_err(unreadable))).collect())
            }
            Err(error) => {
                self.redis_breaker.record_failure(Instant::now());
                let message = format!("Redis: no answer, users and products are looked up in PostgreSQL: {error}");
                self.health.report(ConsumerIssue::Redis, message);
                None
            }
        }
    }

    async fn find_in_database(
        &self,
        user_ids: Vec<UserId>,
        product_ids: Vec<ProductId>,
        database: &mut StatementClient,
        found: &mut Attributes,
    ) -> Result<(), SqlError> {
        if !user_ids.is_empty() {
            let columns = (users::user_id, users::gender, users::age_group, users::region);
            let query = users::table.filter(users::user_id.eq_any(texts(&user_ids))).select(columns);
            for row in database.query(&query).await? {
                let user = UserAttributes { gender: row.get(1), age_group: row.get(2), region: row.get(3) };
                found.users.insert(row.get::<_, &str>(0).into(), Arc::new(user));
            }
            cache_answers("user", &self.users, user_ids, &found.users);
        }
        if !product_ids.is_empty() {
            let columns = (products::product_id, products::category);
            let query = products::table.filter(products::product_id.eq_any(texts(&product_ids))).select(columns);
            for row in database.query(&query).await? {
                let product = ProductAttributes { category: row.get(1) };
                found.products.insert(row.get::<_, &str>(0).into(), Arc::new(product));
            }
            cache_answers("product", &self.products, product_ids, &found.products);
        }
        Ok(())
    }
}

fn texts<Id: AsRef<str>>(ids: &[Id]) -> Vec<&str> {
    ids.iter().map(AsRef::as_ref).collect()
}

/// Caches the result of the database for each queried id, also that there is no row.
fn cache_answers<Id, Row>(what: &'static str, cache: &LookupCache<Id, Row>, queried: Vec<Id>, found: &ById<Id, Row>)
where
    Id: AsRef<str> + Clone + Eq + Hash + Send + Sync + 'static,
    Row: MemorySize + Send + Sync + 'static,
{
    let all = queried.len();
    let mut known = 0;
    for id in queried {
        let row = found.get(&id).cloned();
        known += usize::from(row.is_some());
        cache.insert(id, row);
    }
    count(what, "database", known);
    count(what, "unknown", all - known);
}

fn count(what: &'static str, step: &'static str, ids: usize) {
    ::metrics::counter!(metrics::LOOKUPS, "what" => what, "step" => step).increment(ids as u64);
}
