//! Waits for a condition instead of a time.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// Waits until `condition` holds.
///
/// # Panics
/// When it does not hold within `timeout`; the message contains `what`.
pub async fn eventually(what: &str, timeout: Duration, mut condition: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(timeout, async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(waited.await.is_ok(), "{what}: not within {timeout:?}");
}

/// The time of a start that several producers share: late enough for all of them on a busy machine.
pub fn shared_start() -> DateTime<Utc> {
    Utc::now() + Duration::from_secs(15)
}
