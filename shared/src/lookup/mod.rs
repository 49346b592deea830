//! Users, products and orders by their ids: from Redis, else from the database, and back into Redis for five minutes.
//!
//! - [`RowCache`] is the step in Redis: users and products first in the hashes that the cache-worker fills, then each
//!   row in an entry of its own. [`RowCache::fill`] writes entries, [`RowCache::invalidate`] ends them at an update.
//! - [`select_rows`] is the step in the database, one query for many ids.
//! - [`RowReader`] takes both steps for one id, and makes one query of simultaneous reads of the same id.
//!
//! A Redis that fails costs no lookup, only a query: a circuit breaker keeps further lookups from waiting for it, and
//! [`CacheHealth`] is told.

mod cached_row;
mod circuit_breaker;
mod connections;
mod field;
mod health;
mod invalidation;
mod read_error;
mod reader;
mod row_cache;
mod single_flight;
mod table;

pub use cached_row::{CachedRow, InvalidRow, check_id, check_text};
pub use connections::QueryConnections;
pub use field::{OrderField, ProductField, RowField, UserField};
pub use health::{CacheHealth, LoggedOutage};
pub use invalidation::{ENTRY_TTL, MAX_FILL_AGE};
pub use read_error::ReadError;
pub use reader::{ReadResult, RowReader};
pub use row_cache::{CacheResult, RowCache, register_metrics};
pub use table::{LookupRow, select_rows};
