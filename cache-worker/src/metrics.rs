//! The names of what the cache-worker counts.

/// Rounds, by `outcome`: `cached`, `empty`, `not_due`, `busy` (another instance's turn), `outrun`, `failed`.
pub const ROUNDS: &str = "orderflow_cache_rounds_total";
/// Times that a Redis which had lost the cache was filled again.
pub const REFILLS: &str = "orderflow_cache_refills_total";
/// Rows put into the cache by rounds, by `table` and `age` (`new`: never cached before, `aged`).
pub const ROWS: &str = "orderflow_cache_rows_total";
/// Seconds that a round took.
pub const ROUND_SECONDS: &str = "orderflow_cache_round_seconds";
/// Unix time of the last swap, as Redis has it.
pub const REFRESHED_AT: &str = "orderflow_cache_refreshed_at_seconds";
/// Rows in Redis, by `table`.
pub const CACHED_ROWS: &str = "orderflow_cache_cached_rows";
/// Rows of a `table`, when this instance last counted them, after a round.
pub const TABLE_ROWS: &str = "orderflow_cache_table_rows";
/// Those of them that were never cached.
pub const NEVER_CACHED: &str = "orderflow_cache_never_cached_rows";
/// Unix time of the oldest `last_cached_at` of a `table`.
pub const OLDEST: &str = "orderflow_cache_oldest_cached_at_seconds";
/// Seconds until every row of a `table` will have been cached, when no others come.
pub const FULL_TURN: &str = "orderflow_cache_full_turn_seconds";
