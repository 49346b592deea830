//! Prefetches users and products from Redis in batches while the run lasts.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use redis::{RedisResult, aio::ConnectionManager};
use shared::{
    cache::{self, CacheKeys},
    catalog::UserId,
    retry::Backoff,
};
use tokio::sync::{Notify, watch};

use super::model::{SampledProduct, SampledUser};
use crate::{
    health::{ProducerHealth, ProducerIssue},
    metrics,
};

/// Maximum age of a batch, used or not, so that the samples follow the cache.
const MAX_BATCH_AGE: Duration = Duration::from_secs(1);

/// Minimum time between two requests. An unpaced run needs more samples than that: it reuses a batch with other pairs
/// of users and products, which leaves the CPU time to the orders.
const MIN_FETCH_INTERVAL: Duration = Duration::from_millis(500);

/// Users and products, each drawn at random with repetition.
#[derive(Clone, Debug)]
struct SampleBatch {
    users: Vec<SampledUser>,
    products: Vec<SampledProduct>,
    fetched_at: Instant,
    refreshed_at: Option<DateTime<Utc>>,
}

impl SampleBatch {
    fn len(&self) -> usize {
        self.users.len().min(self.products.len())
    }

    /// `None` when the cache is empty.
    async fn fetch(connection: &mut ConnectionManager, keys: &CacheKeys, size: usize) -> RedisResult<Option<Self>> {
        let users = cache::sample(connection, &keys.users, size).await?;
        let products = cache::sample(connection, &keys.products, size).await?;
        let refreshed_at = cache::refreshed_at(connection, keys).await?;
        let filled = !users.is_empty() && !products.is_empty();
        Ok(filled.then(|| Self { users, products, fetched_at: Instant::now(), refreshed_at }))
    }
}

/// Passes the next batch from the prefetching task to the sending thread.
#[derive(Default)]
struct Slot {
    next: Mutex<Option<SampleBatch>>,
    taken: Notify,
}

/// The samples for the sending thread.
pub struct PrefetchedSamples {
    slot: Arc<Slot>,
    batch: SampleBatch,
    position: usize,
    passes: usize,
}

/// The prefetching task.
pub struct Prefetcher {
    connection: ConnectionManager,
    keys: CacheKeys,
    batch_size: usize,
    slot: Arc<Slot>,
    refreshed_at: watch::Sender<Option<DateTime<Utc>>>,
}

/// Fetches a first batch of `batch_size`. `refreshed_at` receives the time of the cache's last refresh with each batch.
///
/// # Errors
/// When Redis fails or the cache is empty.
pub async fn open(
    mut connection: ConnectionManager,
    keys: CacheKeys,
    batch_size: usize,
    refreshed_at: watch::Sender<Option<DateTime<Utc>>>,
) -> anyhow::Result<(Prefetcher, PrefetchedSamples)> {
    let fetched = SampleBatch::fetch(&mut connection, &keys, batch_size).await;
    let Some(batch) = fetched.context("users and products can't be read from Redis")? else { bail!(keys.empty()) };
    refreshed_at.send_replace(batch.refreshed_at);
    let slot = Arc::new(Slot::default());
    let samples = PrefetchedSamples { slot: slot.clone(), batch, position: 0, passes: 0 };
    Ok((Prefetcher { connection, keys, batch_size, slot, refreshed_at }, samples))
}

impl Prefetcher {
    /// Fetches batches until the task is aborted. While Redis fails, it retries with a backoff, and the sending thread
    /// reuses the last batch; the failure and the recovery are logged once each.
    pub async fn run(mut self, health: Arc<ProducerHealth>) {
        let mut backoff = Backoff::start();
        loop {
            let failure = match SampleBatch::fetch(&mut self.connection, &self.keys, self.batch_size).await {
                Ok(Some(batch)) => {
                    health.resolve(ProducerIssue::NoSamples);
                    backoff = Backoff::start();
                    self.publish(batch).await;
                    continue;
                }
                Ok(None) => "the cache is empty".to_owned(),
                Err(error) => error.to_string(),
            };
            let message = format!("Redis: no new samples, the run continues with the last ones: {failure}");
            health.report(ProducerIssue::NoSamples, message);
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }

    /// Publishes the batch and waits until the next one is needed.
    async fn publish(&mut self, batch: SampleBatch) {
        self.refreshed_at.send_replace(batch.refreshed_at);
        *self.slot.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(batch);
        let published = tokio::time::Instant::now();
        let _ = tokio::time::timeout(MAX_BATCH_AGE, self.slot.taken.notified()).await;
        tokio::time::sleep_until(published + MIN_FETCH_INTERVAL).await;
    }
}

impl PrefetchedSamples {
    /// Returns the next user and product, without blocking. When the batch is used up or too old, the next one replaces
    /// it; if that is not there yet, a used up batch is reused with other pairs.
    pub fn next(&mut self, now: Instant) -> (&UserId, &SampledProduct) {
        let used_up = self.position >= self.batch.len();
        if used_up || now.duration_since(self.batch.fetched_at) > MAX_BATCH_AGE {
            match self.slot.next.try_lock().ok().and_then(|mut slot| slot.take()) {
                Some(batch) => {
                    self.batch = batch;
                    (self.position, self.passes) = (0, 0);
                    self.slot.taken.notify_one();
                }
                None if used_up => {
                    (self.position, self.passes) = (0, self.passes + 1);
                    ::metrics::counter!(metrics::SAMPLES_REUSED).increment(1);
                }
                None => {}
            }
        }
        let (at, length) = (self.position, self.batch.len());
        self.position += 1;
        // Each pass over the same batch combines its users with other products.
        (&self.batch.users[at].user_id, &self.batch.products[(at + self.passes) % length])
    }
}
