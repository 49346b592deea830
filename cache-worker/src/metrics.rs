//! The names of the metrics.

/// Rounds, by `outcome`: `cached`, `empty` (no rows to cache), `not_due`, `busy` (another instance is in a round),
/// `stale_epoch` (Redis had a later epoch than the database), `failed`.
pub const ROUNDS: &str = "orderflow_cache_rounds_total";
/// Times that a Redis which had lost its rows was refilled.
pub const REFILLS: &str = "orderflow_cache_refills_total";
/// Rows that rounds put into the cache, by `table` and `age` (`new`: never cached before, `aged`).
pub const ROWS: &str = "orderflow_cache_rows_total";
/// Duration of a round.
pub const ROUND_SECONDS: &str = "orderflow_cache_round_seconds";
/// Unix time of the last swap by any instance, as stored in Redis.
pub const REFRESHED_AT: &str = "orderflow_cache_refreshed_at_seconds";
/// Rows in Redis, by `table`.
pub const CACHED_ROWS: &str = "orderflow_cache_cached_rows";
/// Rows of each `table`, as this instance counted them last.
pub const TABLE_ROWS: &str = "orderflow_cache_table_rows";
/// Rows of each `table` that were never cached.
pub const NEVER_CACHED: &str = "orderflow_cache_never_cached_rows";
/// Unix time of the oldest `last_cached_at` of each `table`.
pub const OLDEST: &str = "orderflow_cache_oldest_cached_at_seconds";
/// Time until every row of a `table` has been cached, if no rows are added.
pub const FULL_CYCLE: &str = "orderflow_cache_full_cycle_seconds";
