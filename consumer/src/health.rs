//! Whether the consumer can do its work right now, for `/readyz`.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What may keep the consumer from its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// No broker answers.
    Brokers,
    /// The group does not let this instance in yet.
    Group,
    /// The database is lost.
    Database,
    /// The dead-letter topic does not take what it is sent.
    DeadLetters,
    /// Too many dead letters of one kind.
    Flood,
}

/// What keeps the consumer from its work, if anything does.
#[derive(Debug, Default)]
pub struct Health {
    troubles: Mutex<BTreeMap<Obstacle, String>>,
}

impl Health {
    fn troubles(&self) -> MutexGuard<'_, BTreeMap<Obstacle, String>> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something is in the way; said once in the log, until [`Self::well`].
    pub fn trouble(&self, obstacle: Obstacle, what: String) {
        if let Some(before) = self.troubles().insert(obstacle, what.clone()) {
            tracing::debug!("{what}; before: {before}");
        } else {
            tracing::warn!("{what}");
        }
    }

    /// It is out of the way.
    pub fn well(&self, obstacle: Obstacle) {
        if self.troubles().remove(&obstacle).is_some() {
            tracing::info!("working again");
        }
    }

    /// Nobody waits for it any longer.
    pub fn forget(&self, obstacle: Obstacle) {
        self.troubles().remove(&obstacle);
    }

    /// For `/readyz`.
    ///
    /// # Errors
    /// What keeps the consumer from its work.
    pub fn ready(&self) -> Result<(), String> {
        let troubles = self.troubles();
        if troubles.is_empty() { Ok(()) } else { Err(troubles.values().cloned().collect::<Vec<_>>().join("; ")) }
    }
}
