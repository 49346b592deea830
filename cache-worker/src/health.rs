//! What is in the way of a fresh cache: said once when it comes, once when it goes, and by `/readyz` meanwhile.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What can be in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// Redis does not answer.
    Redis,
    /// Rounds fail.
    Rounds,
    /// There is nothing to cache.
    Tables,
    /// The cache lacks users or products.
    Cache,
    /// Nobody has replaced the cache for too long.
    Age,
}

impl Obstacle {
    fn gone(self) -> &'static str {
        match self {
            Self::Redis => "Redis answers again",
            Self::Rounds => "rounds succeed again",
            Self::Tables => "the tables have rows now",
            Self::Cache => "the cache is filled",
            Self::Age => "the cache is replaced again",
        }
    }
}

/// All that is in the way now. Until the first look at the cache it counts as not filled.
#[derive(Debug)]
pub struct Health(Mutex<BTreeMap<Obstacle, String>>);

impl Default for Health {
    fn default() -> Self {
        Self(Mutex::new(BTreeMap::from([(Obstacle::Cache, "the cache was not looked at yet".to_owned())])))
    }
}

impl Health {
    fn obstacles(&self) -> MutexGuard<'_, BTreeMap<Obstacle, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something is in the way.
    pub fn report(&self, obstacle: Obstacle, what: String) {
        if self.obstacles().insert(obstacle, what.clone()).is_none() {
            tracing::warn!("{what}");
        }
    }

    /// It no longer is.
    pub fn clear(&self, obstacle: Obstacle) {
        if self.obstacles().remove(&obstacle).is_some() {
            tracing::info!("{}", obstacle.gone());
        }
    }

    /// Whether the cache is filled and kept fresh.
    ///
    /// # Errors
    /// What is in the way.
    pub fn ready(&self) -> Result<(), String> {
        match self.obstacles().values().next() {
            Some(what) => Err(what.clone()),
            None => Ok(()),
        }
    }
}
