//! The names of what the cache-worker counts.

/// Rounds, by `outcome`: `cached`, `empty`, `busy` (another instance's turn), `failed`.
pub const ROUNDS: &str = "orderflow_cache_rounds_total";
/// Rows put into the cache, by `table` and `age` (`new`: never cached before, `aged`).
pub const ROWS: &str = "orderflow_cache_rows_total";
/// Seconds that a round took.
pub const ROUND_SECONDS: &str = "orderflow_cache_round_seconds";
/// Unix time of the last swap.
pub const REFRESHED_AT: &str = "orderflow_cache_refreshed_at_seconds";
