//! The cache-worker's metrics.

shared::metric_names! {
    /// Rounds, by `outcome`: `cached`, `empty` (no rows to cache), `not_due`, `busy` (another instance is in a round),
    /// `stale_epoch` (Redis had a later epoch than the database), `failed`.
    counter ROUNDS = "orderflow_cache_rounds_total";
    /// Times that a Redis which had lost its rows was refilled.
    counter REFILLS = "orderflow_cache_refills_total";
    /// Rows that rounds put into the cache, by `table` and `age` (`new`: never cached before, `aged`).
    counter ROWS = "orderflow_cache_rows_total";
    /// Duration of a round.
    histogram ROUND_SECONDS = "orderflow_cache_round_seconds";
    /// Unix time of the last swap by any instance, as stored in Redis.
    gauge REFRESHED_AT = "orderflow_cache_refreshed_at_seconds";
    /// Rows in Redis, by `table`.
    gauge CACHED_ROWS = "orderflow_cache_cached_rows";
    /// Rows of each `table`, as this instance counted them last.
    gauge TABLE_ROWS = "orderflow_cache_table_rows";
    /// Rows of each `table` that were never cached.
    gauge NEVER_CACHED = "orderflow_cache_never_cached_rows";
    /// Unix time of the oldest `last_cached_at` of each `table`.
    gauge OLDEST = "orderflow_cache_oldest_cached_at_seconds";
    /// Time until every row of a `table` has been cached, if no rows are added.
    gauge FULL_CYCLE = "orderflow_cache_full_cycle_seconds";
}

/// Describes the metrics, and registers the counters of what may never happen: its first time is an increase then.
pub fn register() {
    describe();
    for outcome in ["cached", "empty", "not_due", "busy", "stale_epoch", "failed"] {
        ::metrics::counter!(ROUNDS, "outcome" => outcome).increment(0);
    }
    ::metrics::counter!(REFILLS).increment(0);
}
