//! Fills in what an order leaves open: region, gender, age group and category. Three steps a batch: what this process
//! remembers, one `HMGET` for what it doesn't, one `= ANY` for what Redis doesn't have either.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::Arc,
    time::{Duration, Instant},
};

use diesel::{ExpressionMethods, QueryDsl};
use foldhash::fast::RandomState;
use quick_cache::{
    UnitWeighter,
    sync::{Cache, DefaultLifecycle},
};
use redis::aio::ConnectionManager;
use serde::{Deserialize, de::DeserializeOwned};
use shared::{
    cache::{self, CacheKeys},
    catalog::{ProductId, UserId},
    database::{
        SqlError, StatementClient,
        schema::{products, users},
    },
};
use tokio::sync::{Mutex, MutexGuard};

use crate::{
    breaker::{Breaker, Change},
    metrics,
    outage::{GivenUp, Outage},
    table::Database,
};

/// An id that isn't there may be soon: a dead letter too many is worse than a lookup too many.
const REMEMBERED_UNKNOWN: Duration = Duration::from_secs(1);
/// At some 300 bytes each, two caches of this many take about 12 MiB.
const REMEMBERED_ROWS: usize = 20_000;
/// Time between two looks at whether a turn is still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(500);

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

/// What is known of a batch's users and products; who is not in it is not there.
#[derive(Debug, Default)]
pub struct Facts {
    /// By user id.
    pub users: ById<UserId, UserFacts>,
    /// By product id.
    pub products: ById<ProductId, ProductFacts>,
}

/// Rows by their ids.
pub type ById<Id, Row> = HashMap<Id, Arc<Row>, RandomState>;
/// Ids that are asked for.
pub type Ids<'a, Id> = HashSet<&'a Id, RandomState>;

/// Rows, or that there is none, and until when that is believed.
struct Known<Id, Row> {
    rows: Cache<Id, (Option<Arc<Row>>, Instant), UnitWeighter, RandomState>,
    remembered: Duration,
}

/// Remembers facts, and asks Redis. Shared by all writers.
pub struct Enricher {
    users: Known<UserId, UserFacts>,
    products: Known<ProductId, ProductFacts>,
    redis: ConnectionManager,
    keys: CacheKeys,
    breaker: Breaker,
    /// Held by whoever asks: what another writer is asking for already is not asked for twice.
    asking: Mutex<()>,
}

impl<Id: Eq + Hash, Row> Known<Id, Row> {
    fn nothing(remembered: Duration) -> Self {
        let most = REMEMBERED_ROWS;
        let rows = Cache::with(most, most as u64, UnitWeighter, RandomState::default(), DefaultLifecycle::default());
        Self { rows, remembered }
    }

    fn keep(&self, id: Id, row: Option<Arc<Row>>) {
        let time = if row.is_some() { self.remembered } else { REMEMBERED_UNKNOWN };
        self.rows.insert(id, (row, Instant::now() + time));
    }
}

impl Enricher {
    /// Knows nothing yet, and believes what it learns for as long as `remembered`. While Redis does not answer, everything
    /// comes from the database.
    pub fn new(redis: ConnectionManager, keys: CacheKeys, remembered: Duration) -> Self {
        let (users, products) = (Known::nothing(remembered), Known::nothing(remembered));
        Self { users, products, redis, keys, breaker: Breaker::default(), asking: Mutex::new(()) }
    }

    /// What is known of these users and products. The database is asked, and needed, only for what neither this process
    /// nor Redis knows; what is in no answer was denied by the database just now, or a moment ago. The inner error is the
    /// database's; Redis may fail.
    ///
    /// # Errors
    /// [`GivenUp`] when the database is not waited for any longer.
    pub async fn learn(
        &self,
        users: Ids<'_, UserId>,
        products: Ids<'_, ProductId>,
        database: &mut Database,
        outage: &mut Outage<'_>,
    ) -> Result<Result<Facts, SqlError>, GivenUp> {
        let mut facts = Facts::default();
        let users = recall("user", &self.users, users, &mut facts.users);
        let products = recall("product", &self.products, products, &mut facts.products);
        if users.is_empty() && products.is_empty() {
            return Ok(Ok(facts));
        }
        let _turn = self.take_turn(outage).await?;
        let users = recall("user", &self.users, users, &mut facts.users);
        let products = recall("product", &self.products, products, &mut facts.products);
        let users = self.ask_redis("user", &self.users, &self.keys.users, users, &mut facts.users).await;
        let products =
            self.ask_redis("product", &self.products, &self.keys.products, products, &mut facts.products).await;
        if users.is_empty() && products.is_empty() {
            return Ok(Ok(facts));
        }
        let client = database.connected(outage).await?;
        let asking = self.ask_database(users, products, client, &mut facts);
        Ok(outage.unless_abandoned(asking).await?.map(|()| facts))
    }

    /// Who has its turn may have to wait for the database, and this one may meanwhile be needed no longer.
    async fn take_turn(&self, outage: &Outage<'_>) -> Result<MutexGuard<'_, ()>, GivenUp> {
        loop {
            outage.check()?;
            let waiting = tokio::time::timeout(LOOK_EVERY, self.asking.lock());
            if let Ok(turn) = outage.unless_abandoned(waiting).await? {
                return Ok(turn);
            }
        }
    }

    async fn ask_database(
        &self,
        user_ids: Vec<UserId>,
        product_ids: Vec<ProductId>,
        database: &mut StatementClient,
        facts: &mut Facts,
    ) -> Result<(), SqlError> {
        if !user_ids.is_empty() {
            let columns = (users::user_id, users::gender, users::age_group, users::region);
            let query = users::table.filter(users::user_id.eq_any(texts(&user_ids))).select(columns);
            for row in database.query(&query).await? {
                let found = UserFacts { gender: row.get(1), age_group: row.get(2), region: row.get(3) };
                facts.users.insert(row.get::<_, &str>(0).into(), Arc::new(found));
            }
            remember("user", &self.users, user_ids, &facts.users);
        }
        if !product_ids.is_empty() {
            let columns = (products::product_id, products::category);
            let query = products::table.filter(products::product_id.eq_any(texts(&product_ids))).select(columns);
            for row in database.query(&query).await? {
                facts.products.insert(row.get::<_, &str>(0).into(), Arc::new(ProductFacts { category: row.get(1) }));
            }
            remember("product", &self.products, product_ids, &facts.products);
        }
        Ok(())
    }

    /// Puts what Redis knows into `facts` and gives the other ids.
    async fn ask_redis<Id, Row>(
        &self,
        what: &'static str,
        known: &Known<Id, Row>,
        key: &str,
        ids: Ids<'_, Id>,
        facts: &mut ById<Id, Row>,
    ) -> Vec<Id>
    where
        Id: AsRef<str> + Clone + Eq + Hash + Send + Sync + 'static,
        Row: DeserializeOwned + Send + Sync + 'static,
    {
        let ids: Vec<Id> = ids.into_iter().cloned().collect();
        let found: Vec<Option<Row>> = self.look_up(key, &texts(&ids)).await.unwrap_or_default();
        let (asked, mut found, mut unknown) = (ids.len(), found.into_iter(), Vec::new());
        for id in ids {
            match found.next().flatten().map(Arc::new) {
                Some(row) => {
                    known.keep(id.clone(), Some(row.clone()));
                    facts.insert(id, row);
                }
                None => unknown.push(id),
            }
        }
        count(what, "redis", asked - unknown.len());
        unknown
    }

    /// Nothing when Redis is not to be asked, or does not answer.
    async fn look_up<Row: DeserializeOwned>(&self, key: &str, ids: &[&str]) -> Option<Vec<Option<Row>>> {
        if ids.is_empty() || !self.breaker.try_pass(Instant::now(), cache::REQUEST_TIMEOUT) {
            return None;
        }
        match cache::lookup(&mut self.redis.clone(), key, ids).await {
            Ok(found) => {
                if self.breaker.succeeded() == Change::Back {
                    tracing::info!("Redis answers again");
                }
                Some(found)
            }
            Err(error) => {
                if self.breaker.failed(Instant::now()) == Change::Lost {
                    tracing::warn!(%error, "Redis does not answer: users and products are looked up in the database");
                }
                None
            }
        }
    }
}

fn texts<Id: AsRef<str>>(ids: &[Id]) -> Vec<&str> {
    ids.iter().map(AsRef::as_ref).collect()
}

/// Puts what this process remembers into `facts` and gives the other ids. Each id is looked up once: what expires a moment
/// later is known all the same.
fn recall<'a, Id, Row>(
    what: &'static str,
    known: &Known<Id, Row>,
    ids: Ids<'a, Id>,
    facts: &mut ById<Id, Row>,
) -> Ids<'a, Id>
where
    Id: Clone + Eq + Hash + Send + Sync + 'static,
    Row: Send + Sync + 'static,
{
    let (now, asked, mut missing) = (Instant::now(), ids.len(), Ids::default());
    for id in ids {
        match known.rows.get(id).filter(|(_, until)| now < *until) {
            Some((Some(row), _)) => drop(facts.insert(id.clone(), row)),
            Some((None, _)) => {}
            None => drop(missing.insert(id)),
        }
    }
    count(what, "process", asked - missing.len());
    missing
}

/// Remembers what the database has of what it was asked; what it doesn't have is remembered, briefly, as not there.
fn remember<Id, Row>(what: &'static str, known: &Known<Id, Row>, asked: Vec<Id>, facts: &ById<Id, Row>)
where
    Id: Eq + Hash + Send + Sync + 'static,
    Row: Send + Sync + 'static,
{
    let all = asked.len();
    let mut found = 0;
    for id in asked {
        let row = facts.get(&id).cloned();
        found += usize::from(row.is_some());
        known.keep(id, row);
    }
    count(what, "database", found);
    count(what, "unknown", all - found);
}

fn count(what: &'static str, step: &'static str, ids: usize) {
    ::metrics::counter!(metrics::LOOKUPS, "what" => what, "step" => step).increment(ids as u64);
}
