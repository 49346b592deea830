//! Users and products for the orders, there before they are needed, so that the sending thread never waits (invariant 3):
//! drawn from Redis again and again as the cache turns over ([`follow`]), or out of a [`catalog`] that stays the same.

pub mod catalog;
pub mod follow;

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rand::Rng;
use serde::{Deserialize, Serialize};
use shared::{
    cache::CacheSettings,
    catalog::{ProductId, UserId},
};
use tokio::sync::watch;

pub use self::{catalog::Catalog, follow::Follower};
use crate::settings::Source;

/// What an order needs to know of a user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampledUser {
    /// Who orders.
    pub user_id: UserId,
}

/// What an order needs to know of a product.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampledProduct {
    /// What is ordered.
    pub product_id: ProductId,
    /// Whole won a piece.
    pub price: i32,
}

/// The sending thread's end: gives pairs without ever waiting.
pub enum Samples {
    /// What the cache holds, as it changes.
    Followed(follow::Samples),
    /// The same users and products all the time.
    Fixed(Catalog),
}

impl Samples {
    /// A user and a product. Out of a catalog, `random` alone decides which.
    pub fn next(&mut self, now: Instant, random: &mut impl Rng) -> (&UserId, &SampledProduct) {
        match self {
            Self::Followed(samples) => samples.next(now),
            Self::Fixed(catalog) => catalog.draw(random),
        }
    }
}

/// When the cache was last refreshed, as far as is known; nothing without a cache.
pub type RefreshedAt = watch::Receiver<Option<DateTime<Utc>>>;

/// What is there once samples are.
pub struct Opened {
    /// For the sending thread.
    pub samples: Samples,
    /// Keeps on drawing, where the cache is followed.
    pub follower: Option<Follower>,
    /// The cache's age.
    pub refreshed_at: RefreshedAt,
}

/// Opens `source`. The cache is drawn from in batches of `batch`; `seed` decides who is popular in a snapshot of it.
///
/// # Errors
/// When Redis can't be reached, the cache is empty, or the catalog can't be read.
pub async fn open(source: &Source, cache: &CacheSettings, batch: usize, seed: u64) -> anyhow::Result<Opened> {
    const PATIENCE: Duration = Duration::from_secs(10);
    let (known, refreshed_at) = watch::channel(None);
    let fixed =
        |catalog| Opened { samples: Samples::Fixed(catalog), follower: None, refreshed_at: refreshed_at.clone() };
    match source {
        Source::File { path, popularity } => Ok(fixed(Catalog::read(path, *popularity)?)),
        Source::Snapshot { popularity } => {
            let mut redis = cache.connect(PATIENCE).await?;
            Ok(fixed(Catalog::of_cache(&mut redis, &cache.keys(), *popularity, seed).await?))
        }
        Source::Cache => {
            let redis = cache.connect(PATIENCE).await?;
            let (follower, samples) = follow::open(redis, cache.keys(), batch, known).await?;
            Ok(Opened { samples: Samples::Followed(samples), follower: Some(follower), refreshed_at })
        }
    }
}
