//! The step in Redis.

use std::{
    future::Future,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use redis::{ExistenceCheck, RedisError, RedisResult, SetExpiry, SetOptions, aio::ConnectionManager};

use super::{
    cached_row::{CachedRow, InvalidRow},
    circuit_breaker::CircuitBreaker,
    health::CacheHealth,
    invalidation::{ENTRY_TTL, MAX_FILL_AGE, tombstone_ttl},
    table::LookupRow,
};
use crate::{
    cache::{self, CacheKeys, REQUEST_TIMEOUT},
    metrics::{CACHE_LOOKUPS, ROW_QUERIES},
};

/// The rows of Redis.
pub struct RowCache {
    redis: ConnectionManager,
    keys: CacheKeys,
    breaker: CircuitBreaker,
    health: Box<dyn CacheHealth>,
    has_logged_invalid_row: AtomicBool,
    has_logged_refused_entry: AtomicBool,
}

/// What Redis has of the rows that were looked up.
#[derive(Debug)]
pub struct CacheResult<Id, Row> {
    /// Rows by their ids.
    pub found: Vec<(Id, Row)>,
    /// Ids that Redis does not have, or whose row is not valid.
    pub missing: Vec<Id>,
    /// Values that are no valid rows.
    pub invalid: u64,
}

/// Makes the counters known, with the value 0.
pub fn register_metrics() {
    for what in ["user", "product", "order"] {
        for result in ["hit", "miss", "invalid", "unavailable"] {
            ::metrics::counter!(CACHE_LOOKUPS, "what" => what, "result" => result).increment(0);
        }
        ::metrics::counter!(ROW_QUERIES, "what" => what).increment(0);
    }
}

impl RowCache {
    /// Rows in Redis under `keys`. `health` is told whether it answers.
    pub fn new(redis: ConnectionManager, keys: CacheKeys, health: impl CacheHealth + 'static) -> Self {
        Self {
            redis,
            keys,
            breaker: CircuitBreaker::default(),
            health: Box::new(health),
            has_logged_invalid_row: AtomicBool::new(false),
            has_logged_refused_entry: AtomicBool::new(false),
        }
    }

    /// Looks up rows: one `HMGET` in the hash of the cache-worker, then one `MGET` of the entries of those that it
    /// lacks. When Redis fails, all that is not found yet is missing.
    pub async fn find<Row: CachedRow>(
        &self,
        ids: Vec<<Row::Whole as LookupRow>::Id>,
    ) -> CacheResult<<Row::Whole as LookupRow>::Id, Row> {
        let mut result = CacheResult { found: Vec::with_capacity(ids.len()), missing: ids, invalid: 0 };
        let mut answered = true;
        if let Some(hash) = Row::Whole::hash(&self.keys)
            && !result.missing.is_empty()
        {
            let ids: Vec<&str> = result.missing.iter().map(AsRef::as_ref).collect();
            let values = self.query(cache::fields(&mut self.redis.clone(), hash, &ids)).await;
            answered = values.is_some();
            self.take(&mut result, values, |_| hash.to_owned());
        }
        if answered && !result.missing.is_empty() {
            let key = |id: &<Row::Whole as LookupRow>::Id| self.keys.entry(Row::Whole::WHAT, id.as_ref());
            let keys: Vec<String> = result.missing.iter().map(key).collect();
            let values = self.query(cache::strings(&mut self.redis.clone(), &keys)).await;
            answered = values.is_some();
            self.take(&mut result, values, key);
        }
        let not_found = if answered { "miss" } else { "unavailable" };
        let (hits, missing) = (result.found.len() as u64, result.missing.len() as u64);
        let results = [("hit", hits), (not_found, missing), ("invalid", result.invalid)];
        for (name, count) in results.into_iter().filter(|(_, count)| *count > 0) {
            ::metrics::counter!(CACHE_LOOKUPS, "what" => Row::Whole::WHAT, "result" => name).increment(count);
        }
        result
    }

    /// Moves ids of `result` whose value is a valid row from `missing` to `found`.
    fn take<Row: CachedRow>(
        &self,
        result: &mut CacheResult<<Row::Whole as LookupRow>::Id, Row>,
        values: Option<Vec<Option<Vec<u8>>>>,
        key: impl Fn(&<Row::Whole as LookupRow>::Id) -> String,
    ) {
        let Some(values) = values else { return };
        let mut values = values.into_iter();
        for id in std::mem::take(&mut result.missing) {
            // An empty value is a tombstone.
            let json = values.next().flatten().filter(|json| !json.is_empty());
            match json.map(|json| Row::from_json(&json, id.as_ref())) {
                Some(Ok(row)) => result.found.push((id, row)),
                None => result.missing.push(id),
                Some(Err(invalid)) => {
                    result.invalid += 1;
                    self.log_invalid(&key(&id), id.as_ref(), &invalid);
                    result.missing.push(id);
                }
            }
        }
    }

    /// Logs the first row that can't be used.
    fn log_invalid(&self, key: &str, id: &str, invalid: &InvalidRow) {
        if !self.has_logged_invalid_row.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "Redis: row {id:?} of {key} is not valid: {invalid}. It is looked up in PostgreSQL; further rows are \
                 counted and not logged. Check what writes to {key} besides the cache-worker"
            );
        }
    }

    /// Writes entries of rows that were read from the database, where there is no key. `queried_at` is the time before
    /// the query. A Redis that fails is no error: the rows are looked up again.
    pub async fn fill<Whole: LookupRow>(&self, rows: &[Whole], queried_at: Instant) {
        if rows.is_empty() || queried_at.elapsed() > MAX_FILL_AGE {
            return;
        }
        let mut pipeline = redis::pipe();
        let expiry = SetExpiry::EX(ENTRY_TTL.as_secs());
        let options = SetOptions::default().conditional_set(ExistenceCheck::NX).with_expiration(expiry);
        for row in rows {
            let json = serde_json::to_string(row).expect("a row has only string keys");
            pipeline.set_options(self.keys.entry(Whole::WHAT, row.id()), json, options.clone()).ignore();
        }
        let filling = async {
            match cache::send(&mut self.redis.clone(), &pipeline).await {
                // Redis works, but not for this: its memory is full, or the user may only read.
                Err(error) if error.code().is_some() => {
                    self.log_refused(&error);
                    Ok(())
                }
                sent => sent,
            }
        };
        self.query(filling).await;
    }

    /// Logs the first entry that Redis refuses.
    fn log_refused(&self, error: &RedisError) {
        if !self.has_logged_refused_entry.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "Redis: it refuses rows from PostgreSQL, which are therefore read there each time: {error}. An ACL user \
                 needs +set on {}, and the memory must have room; further refusals are not logged",
                self.keys.entry("*", "*")
            );
        }
    }

    /// Ends what Redis has of these rows. Call it in the transaction that changes or deletes them, after its last
    /// statement and before the COMMIT, which ends within `commit_within`.
    ///
    /// # Errors
    /// When Redis fails: it may have the old rows, the entries for [`ENTRY_TTL`], the hash of the cache-worker until the
    /// next round.
    pub async fn invalidate<Whole: LookupRow>(&self, ids: &[&str], commit_within: Duration) -> RedisResult<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let ttl = SetExpiry::PX(tombstone_ttl(commit_within).as_millis() as u64);
        let tombstone = SetOptions::default().with_expiration(ttl);
        // No transaction is needed: until the COMMIT, a reader may have the old row anyway.
        let mut pipeline = redis::pipe();
        for id in ids {
            pipeline.set_options(self.keys.entry(Whole::WHAT, id), "", tombstone.clone()).ignore();
        }
        if let Some(hash) = Whole::hash(&self.keys) {
            pipeline.hdel(hash, ids).ignore();
        }
        cache::send(&mut self.redis.clone(), &pipeline).await
    }

    /// As [`Self::invalidate`], for writers that do not wait for a Redis that fails: the circuit breaker of the lookups
    /// applies, and the health is told. Returns whether Redis has invalidated the rows.
    pub async fn invalidate_if_available<Whole: LookupRow>(&self, ids: &[&str], commit_within: Duration) -> bool {
        self.query(self.invalidate::<Whole>(ids, commit_within)).await.is_some()
    }

    /// None when the circuit breaker is open, or Redis does not answer.
    async fn query<T>(&self, call: impl Future<Output = RedisResult<T>>) -> Option<T> {
        if !self.breaker.allows_call(Instant::now(), REQUEST_TIMEOUT) {
            return None;
        }
        match call.await {
            Ok(answer) => {
                self.breaker.record_success();
                self.health.works();
                Some(answer)
            }
            Err(error) => {
                self.breaker.record_failure(Instant::now());
                self.health.fails(&error);
                None
            }
        }
    }
}
