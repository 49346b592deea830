//! Opens the configured source of users and products.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use rand::Rng;
use shared::{cache::CacheSettings, catalog::UserId};
use tokio::sync::watch;

use super::{
    builtin::BuiltinCatalog,
    catalog::Catalog,
    model::SampledProduct,
    popularity::Popularity,
    prefetch::{self, PrefetchedSamples, Prefetcher},
};

/// Timeout of the first connection to Redis.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where users and products come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// The cache in Redis, as it changes.
    Redis,
    /// The rows of the cache at the start.
    RedisSnapshot { popularity: Popularity },
    /// The builtin catalog: no service is needed.
    Builtin { catalog: BuiltinCatalog, popularity: Popularity },
    /// A catalog file.
    Catalog { path: PathBuf, popularity: Popularity },
}

impl Source {
    /// Whether the source needs Redis.
    pub fn uses_redis(&self) -> bool {
        matches!(self, Self::Redis | Self::RedisSnapshot { .. })
    }
}

/// The users and products for the sending thread; never blocks.
pub enum Samples {
    Redis(PrefetchedSamples),
    Catalog(Catalog),
}

impl Samples {
    /// The user and the product of the next order. From a catalog, they follow from `random` alone.
    pub fn next(&mut self, now: Instant, random: &mut impl Rng) -> (&UserId, &SampledProduct) {
        match self {
            Self::Redis(samples) => samples.next(now),
            Self::Catalog(catalog) => catalog.draw(random),
        }
    }
}

/// The age of the cache.
#[derive(Clone)]
pub struct CacheAge(watch::Receiver<Option<DateTime<Utc>>>);

impl CacheAge {
    /// Time since the last refresh of the cache; `None` when it is unknown or no cache is used.
    pub fn get(&self) -> Option<Duration> {
        (Utc::now() - (*self.0.borrow())?).to_std().ok()
    }
}

/// An opened source.
pub struct OpenSource {
    pub samples: Samples,
    /// Has to run for as long as the samples are used; `None` for a catalog.
    pub prefetcher: Option<Prefetcher>,
    pub cache_age: CacheAge,
}

impl OpenSource {
    fn of_catalog(catalog: Catalog) -> Self {
        let (_, refreshed_at) = watch::channel(None);
        Self { samples: Samples::Catalog(catalog), prefetcher: None, cache_age: CacheAge(refreshed_at) }
    }
}

/// Opens `source`. Batches of `batch_size` are fetched from Redis; `seed` decides which rows of a snapshot are popular.
///
/// # Errors
/// When Redis can't be reached, the cache is empty, or the catalog can't be read.
pub async fn open(source: &Source, cache: &CacheSettings, batch_size: usize, seed: u64) -> anyhow::Result<OpenSource> {
    match source {
        Source::Builtin { catalog, popularity } => Ok(OpenSource::of_catalog(Catalog::builtin(*catalog, *popularity)?)),
        Source::Catalog { path, popularity } => Ok(OpenSource::of_catalog(Catalog::read(path, *popularity)?)),
        Source::RedisSnapshot { popularity } => {
            let mut redis = cache.connect(CONNECT_TIMEOUT).await?;
            let catalog = Catalog::snapshot(&mut redis, &cache.keys(), *popularity, seed).await?;
            Ok(OpenSource::of_catalog(catalog))
        }
        Source::Redis => {
            let redis = cache.connect(CONNECT_TIMEOUT).await?;
            let (known, refreshed_at) = watch::channel(None);
            let (prefetcher, samples) = prefetch::open(redis, cache.keys(), batch_size, known).await?;
            let cache_age = CacheAge(refreshed_at);
            Ok(OpenSource { samples: Samples::Redis(samples), prefetcher: Some(prefetcher), cache_age })
        }
    }
}
