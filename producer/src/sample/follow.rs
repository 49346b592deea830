//! Draws users and products from Redis in bulk and ahead of need, for as long as the run lasts.

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

use super::{SampledProduct, SampledUser};
use crate::metrics;

/// A batch is drawn anew after this, used or not, so that what is sampled follows the cache.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// Time between two draws at least: beyond that, new pairs are made of what was drawn, so that an unpaced run spends its
/// processor on orders.
const DRAW_EVERY: Duration = Duration::from_millis(500);

/// As many users as products, each drawn at random with repetition.
#[derive(Clone, Debug)]
struct Batch {
    users: Vec<SampledUser>,
    products: Vec<SampledProduct>,
    drawn_at: Instant,
    refreshed_at: Option<DateTime<Utc>>,
}

impl Batch {
    fn len(&self) -> usize {
        self.users.len().min(self.products.len())
    }

    async fn draw(connection: &mut ConnectionManager, keys: &CacheKeys, size: usize) -> RedisResult<Option<Self>> {
        let users = cache::sample(connection, &keys.users, size).await?;
        let products = cache::sample(connection, &keys.products, size).await?;
        let refreshed_at = cache::refreshed_at(connection, keys).await?;
        let filled = !users.is_empty() && !products.is_empty();
        Ok(filled.then(|| Self { users, products, drawn_at: Instant::now(), refreshed_at }))
    }
}

/// Where the drawing task leaves the next batch for the sending thread.
#[derive(Default)]
struct Slot {
    next: Mutex<Option<Batch>>,
    taken: Notify,
}

/// The sending thread's end: gives pairs without ever waiting.
pub struct Samples {
    slot: Arc<Slot>,
    batch: Batch,
    position: usize,
    passes: usize,
}

/// The drawing task's end.
pub struct Follower {
    connection: ConnectionManager,
    keys: CacheKeys,
    size: usize,
    slot: Arc<Slot>,
    refreshed_at: watch::Sender<Option<DateTime<Utc>>>,
}

/// Draws a first batch of `size` and gives both ends; `refreshed_at` is told the cache's.
///
/// # Errors
/// When Redis fails or the cache is empty.
pub async fn open(
    mut connection: ConnectionManager,
    keys: CacheKeys,
    size: usize,
    refreshed_at: watch::Sender<Option<DateTime<Utc>>>,
) -> anyhow::Result<(Follower, Samples)> {
    let drawn = Batch::draw(&mut connection, &keys, size).await;
    let Some(batch) = drawn.context("users and products can't be drawn from Redis")? else { bail!(keys.empty()) };
    refreshed_at.send_replace(batch.refreshed_at);
    let slot = Arc::new(Slot::default());
    let samples = Samples { slot: slot.clone(), batch, position: 0, passes: 0 };
    Ok((Follower { connection, keys, size, slot, refreshed_at }, samples))
}

impl Follower {
    /// Draws batches for as long as it is polled. When Redis is lost it says so once, keeps trying, and says once that it
    /// is back; the sending thread goes on with what it holds.
    pub async fn run(mut self) {
        let mut backoff = Backoff::start();
        let mut lost = false;
        loop {
            let missing = match Batch::draw(&mut self.connection, &self.keys, self.size).await {
                Ok(Some(batch)) => {
                    if std::mem::take(&mut lost) {
                        tracing::info!("samples are drawn from Redis again");
                    }
                    backoff = Backoff::start();
                    self.refreshed_at.send_replace(batch.refreshed_at);
                    *self.slot.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(batch);
                    let drawn = tokio::time::Instant::now();
                    let _ = tokio::time::timeout(FRESH_FOR, self.slot.taken.notified()).await;
                    tokio::time::sleep_until(drawn + DRAW_EVERY).await;
                    continue;
                }
                Ok(None) => "the cache is empty".to_owned(),
                Err(error) => error.to_string(),
            };
            if !std::mem::replace(&mut lost, true) {
                tracing::warn!("no samples from Redis, the run goes on with those it holds: {missing}");
            }
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }
}

impl Samples {
    /// The next user and product. When the batch is used up, or older than a second or two, the next one is taken if it
    /// is there; else this one is used again, in other pairs.
    pub fn next(&mut self, now: Instant) -> (&UserId, &SampledProduct) {
        let used_up = self.position >= self.batch.len();
        if used_up || now.duration_since(self.batch.drawn_at) > FRESH_FOR {
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
        // Each pass over the same batch pairs its users with other products.
        (&self.batch.users[at].user_id, &self.batch.products[(at + self.passes) % length])
    }
}
