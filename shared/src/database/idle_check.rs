//! Asks the server for a sign of life while its connection is idle, so that a dead one is replaced before the next
//! statement waits for it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::task::AbortHandle;
use tokio_postgres::Client;

use super::settings::DatabaseSettings;

/// How long a connection is unused before it is checked.
const INTERVAL: Duration = Duration::from_secs(15);
/// Timeout of the check.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// A task that closes the connection when the server does not answer. It ends when this is dropped.
pub(super) struct IdleCheck {
    /// How often the connection was taken into use, plus how often it was released: odd while it is in use.
    uses: Arc<AtomicU64>,
    task: AbortHandle,
}

/// A connection in use, until this is dropped.
pub(super) struct Use<'a>(&'a AtomicU64);

impl IdleCheck {
    /// `connection` is the task that drives the connection of `client`.
    pub fn start(client: Arc<Client>, connection: AbortHandle, settings: DatabaseSettings) -> Self {
        let uses = Arc::new(AtomicU64::new(0));
        let watched = uses.clone();
        let task = tokio::spawn(async move {
            while is_usable(&client, &watched).await {}
            if !client.is_closed() {
                tracing::warn!(
                    "PostgreSQL: an idle connection to {settings} is closed: no answer within {ANSWER_TIMEOUT:?}"
                );
                connection.abort();
            }
        });
        Self { uses, task: task.abort_handle() }
    }

    /// Marks the connection as used.
    pub fn begin_use(&self) -> Use<'_> {
        self.uses.fetch_add(1, Ordering::Relaxed);
        Use(&self.uses)
    }
}

impl Drop for Use<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for IdleCheck {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits for an interval. Returns false when the connection was unused for all of it and the server does not answer.
async fn is_usable(client: &Client, uses: &AtomicU64) -> bool {
    let before = uses.load(Ordering::Relaxed);
    tokio::time::sleep(INTERVAL).await;
    if before % 2 == 1 || uses.load(Ordering::Relaxed) != before {
        return true;
    }
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, client.query_typed("SELECT 1", &[])).await;
    match answer {
        // A refusal is an answer: the transaction may have failed.
        Ok(answer) => answer.is_ok() || !client.is_closed(),
        // A statement that has begun meanwhile has a timeout of its own.
        Err(_) => uses.load(Ordering::Relaxed) != before,
    }
}
