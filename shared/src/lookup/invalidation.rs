//! How long what is in Redis may be there, so that no reader writes an old row back after an update.
//!
//! A reader that misses in Redis reads the row and writes an entry. An update that is committed between the two must
//! not end with the old row in Redis. So an invalidation does not delete the entry: it replaces it by a tombstone, an
//! empty string, and readers write with `NX`, only where there is no key. The tombstone outlasts every reader that may
//! have read the old row: such a reader began before the commit, and writes within [`MAX_FILL_AGE`] or not at all.
//!
//! ```text
//! reader   GET: miss   SELECT: the old row                                        SET NX: refused, the tombstone is there
//! writer                        UPDATE   SET tombstone   COMMIT   (may be killed here)
//! ```
//!
//! The invalidation is sent after the UPDATE and before the COMMIT: a writer that is killed in between leaves no old
//! entry, and if the transaction is rolled back, readers only have to read the row from the database for a while.
//!
//! It also removes the row from the hash of the cache-worker, where the row is looked up first. A round can't bring the
//! old row back: it locks the rows that it reads `FOR NO KEY UPDATE` until after its swap, and the writer has locked the
//! row by its UPDATE. Either the round had the row first, then its swap is over before the invalidation; or the writer
//! did, then the round waits for the COMMIT and reads the new row.
//!
//! What remains: a command that lies in a network or in a stopped Redis for longer than the tombstone lasts may write the
//! old row. It goes after [`ENTRY_TTL`].

use std::time::Duration;

use crate::cache::REQUEST_TIMEOUT;

/// How long an entry stays in Redis.
pub const ENTRY_TTL: Duration = Duration::from_secs(300);

/// A row that was queried longer ago is not written into Redis.
pub const MAX_FILL_AGE: Duration = Duration::from_secs(30);

/// The longest time that a tombstone allows for the COMMIT.
const MAX_COMMIT: Duration = Duration::from_secs(24 * 3600);

/// How long a tombstone stays in Redis, when the update commits within `commit_within` or never.
pub(super) fn tombstone_ttl(commit_within: Duration) -> Duration {
    // Doubled, since the clocks of reader and writer do not run at exactly the same speed.
    commit_within.min(MAX_COMMIT) + (MAX_FILL_AGE + REQUEST_TIMEOUT) * 2
}
