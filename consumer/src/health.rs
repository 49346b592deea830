//! Whether the consumer can do its work right now, for `/readyz`.

use std::sync::{Mutex, PoisonError};

/// What keeps the consumer from its work, if anything does.
#[derive(Debug, Default)]
pub struct Health {
    trouble: Mutex<Option<String>>,
}

impl Health {
    /// Something is lost; said once in the log, until [`Self::well`].
    pub fn trouble(&self, what: String) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if trouble.is_none() {
            tracing::warn!("{what}; trying again until it is back");
        }
        *trouble = Some(what);
    }

    /// It is back.
    pub fn well(&self) {
        if self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            tracing::info!("working again");
        }
    }

    /// For `/readyz`.
    ///
    /// # Errors
    /// What keeps the consumer from its work.
    pub fn ready(&self) -> Result<(), String> {
        match &*self.trouble.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(what) => Err(what.clone()),
            None => Ok(()),
        }
    }
}
