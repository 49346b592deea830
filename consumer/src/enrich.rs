//! Fills in what an order leaves open: region, gender, age group and category. Three steps a batch: what this process
//! remembers, one `HMGET` for what it doesn't, one `= ANY` for what Redis doesn't have either.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use diesel::{ExpressionMethods, QueryDsl};
use moka::sync::Cache;
use redis::aio::ConnectionManager;
use serde::Deserialize;
use shared::{
    cache::{self, CacheKeys},
    database::{
        SqlError, StatementClient,
        schema::{products, users},
    },
};

use crate::{
    metrics,
    store::{Database, GivenUp, Outage},
};

/// A change in the database is seen in orders after the next round of the cache-worker and this.
const REMEMBERED: Duration = Duration::from_secs(30);
/// An id that isn't there may be soon: a dead letter too many is worse than a lookup too many.
const REMEMBERED_UNKNOWN: Duration = Duration::from_secs(1);
/// At some 200 bytes each, two caches of this many take about 20 MiB.
const REMEMBERED_ROWS: u64 = 50_000;
/// A Redis that failed is left alone this long; PostgreSQL has everything.
const REDIS_REST: Duration = Duration::from_secs(1);

/// What an order takes over from its user.
#[derive(Debug, Deserialize)]
pub struct UserFacts {
    /// `M`, `F` or `U`.
    pub gender: String,
    /// Such as `30대`.
    pub age_group: String,
    /// Such as `서울`.
    pub region: String,
}

/// What an order takes over from its product.
#[derive(Debug, Deserialize)]
pub struct ProductFacts {
    /// Such as `식품`.
    pub category: String,
}

type Known<Facts> = Cache<String, Option<Arc<Facts>>>;

/// Remembers facts, and asks Redis. Shared by all writers.
pub struct Enricher {
    users: Known<UserFacts>,
    products: Known<ProductFacts>,
    redis: Option<ConnectionManager>,
    keys: CacheKeys,
    redis_rests_until: Mutex<Option<Instant>>,
}

/// Keeps what isn't there for a shorter time than what is.
struct Expiry;

impl<Facts> moka::Expiry<String, Option<Arc<Facts>>> for Expiry {
    fn expire_after_create(&self, _: &String, facts: &Option<Arc<Facts>>, _: Instant) -> Option<Duration> {
        Some(if facts.is_some() { REMEMBERED } else { REMEMBERED_UNKNOWN })
    }
}

fn known<Facts: Send + Sync + 'static>() -> Known<Facts> {
    Cache::builder().max_capacity(REMEMBERED_ROWS).expire_after(Expiry).build()
}

impl Enricher {
    /// Remembers nothing yet. Without Redis, everything comes from the database.
    pub fn new(redis: Option<ConnectionManager>, keys: CacheKeys) -> Self {
        Self { users: known(), products: known(), redis, keys, redis_rests_until: Mutex::new(None) }
    }

    /// Makes sure that every user and product is known, or known not to be there. The database is asked, and needed, only
    /// for what neither this process nor Redis knows. The inner error is the database's; Redis may fail.
    ///
    /// # Errors
    /// [`GivenUp`] when the database is not waited for any longer.
    pub async fn learn(
        &self,
        users: HashSet<&str>,
        products: HashSet<&str>,
        database: &mut Database,
        outage: &mut Outage<'_>,
    ) -> Result<Result<(), SqlError>, GivenUp> {
        let users = self.learn_from_redis("user", &self.users, &self.keys.users, users).await;
        let products = self.learn_from_redis("product", &self.products, &self.keys.products, products).await;
        if users.is_empty() && products.is_empty() {
            return Ok(Ok(()));
        }
        Ok(self.learn_from_database(users, products, database.connected(outage).await?).await)
    }

    async fn learn_from_database(
        &self,
        user_ids: Vec<String>,
        product_ids: Vec<String>,
        database: &mut StatementClient,
    ) -> Result<(), SqlError> {
        if !user_ids.is_empty() {
            let facts = (users::user_id, users::gender, users::age_group, users::region);
            for row in
                database.query(&users::table.filter(users::user_id.eq_any(user_ids.clone())).select(facts)).await?
            {
                let facts = UserFacts { gender: row.get(1), age_group: row.get(2), region: row.get(3) };
                self.users.insert(row.get(0), Some(Arc::new(facts)));
            }
            settle("user", &self.users, user_ids);
        }
        if !product_ids.is_empty() {
            let facts = (products::product_id, products::category);
            for row in database
                .query(&products::table.filter(products::product_id.eq_any(product_ids.clone())).select(facts))
                .await?
            {
                self.products.insert(row.get(0), Some(Arc::new(ProductFacts { category: row.get(1) })));
            }
            settle("product", &self.products, product_ids);
        }
        Ok(())
    }

    /// What is known of a user; `None` when there is no such user.
    pub fn user(&self, id: &str) -> Option<Arc<UserFacts>> {
        self.users.get(id).flatten()
    }

    /// What is known of a product; `None` when there is no such product.
    pub fn product(&self, id: &str) -> Option<Arc<ProductFacts>> {
        self.products.get(id).flatten()
    }

    /// Gives the ids that neither this process nor Redis knows.
    async fn learn_from_redis<Facts>(
        &self,
        what: &'static str,
        known: &Known<Facts>,
        key: &str,
        ids: HashSet<&str>,
    ) -> Vec<String>
    where
        Facts: serde::de::DeserializeOwned + Send + Sync + 'static,
    {
        let asked = ids.len();
        let missing: Vec<&str> = ids.into_iter().filter(|id| !known.contains_key(*id)).collect();
        count(what, "process", asked - missing.len());
        if missing.is_empty() {
            return Vec::new();
        }
        let found = self.ask_redis::<Facts>(key, &missing).await;
        let mut unknown = Vec::new();
        for (id, facts) in missing.iter().zip(found) {
            match facts {
                Some(facts) => known.insert((*id).to_owned(), Some(Arc::new(facts))),
                None => unknown.push((*id).to_owned()),
            }
        }
        count(what, "redis", missing.len() - unknown.len());
        unknown
    }

    async fn ask_redis<Facts: serde::de::DeserializeOwned>(&self, key: &str, ids: &[&str]) -> Vec<Option<Facts>> {
        let nothing = || ids.iter().map(|_| None).collect();
        let Some(mut redis) = self.redis.clone().filter(|_| !self.redis_rests()) else { return nothing() };
        match cache::lookup(&mut redis, key, ids).await {
            Ok(found) => {
                if self.rest_redis_until(None).is_some() {
                    tracing::info!("Redis answers again");
                }
                found
            }
            Err(error) => {
                if self.rest_redis_until(Some(Instant::now() + REDIS_REST)).is_none() {
                    tracing::warn!(%error, "Redis does not answer: users and products are looked up in the database");
                }
                nothing()
            }
        }
    }

    fn redis_rests(&self) -> bool {
        let until = *self.redis_rests_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    fn rest_redis_until(&self, until: Option<Instant>) -> Option<Instant> {
        std::mem::replace(&mut *self.redis_rests_until.lock().unwrap_or_else(PoisonError::into_inner), until)
    }
}

/// What the database doesn't have either is remembered, briefly, as not there.
fn settle<Facts: Send + Sync + 'static>(what: &'static str, known: &Known<Facts>, asked: Vec<String>) {
    let all = asked.len();
    let unknown: Vec<String> = asked.into_iter().filter(|id| !known.contains_key(id)).collect();
    count(what, "database", all - unknown.len());
    count(what, "unknown", unknown.len());
    for id in unknown {
        known.insert(id, None);
    }
}

fn count(what: &'static str, step: &'static str, ids: usize) {
    ::metrics::counter!(metrics::LOOKUPS, "what" => what, "step" => step).increment(ids as u64);
}
