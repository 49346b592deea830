//! The names of the metrics that several programs have.

crate::metric_names! {
    /// 1, with the `program` and its `version`.
    gauge BUILD_INFO = "orderflow_build_info";
    /// 1 while the program can do its work (/readyz is 200), else 0.
    gauge READY = "orderflow_ready";
    /// Connections to PostgreSQL that are open.
    gauge DATABASE_CONNECTIONS = "orderflow_database_connections";
    /// Connections to PostgreSQL that are open at most, by the settings of the program.
    gauge DATABASE_CONNECTIONS_MAX = "orderflow_database_connections_max";
    /// Ids looked up in Redis, by `what` (`user`, `product`, `order`) and `result`: `hit`, `miss`, or `unavailable`
    /// (Redis did not answer, or was not asked since it had not answered before). In addition `invalid`: values that are
    /// no valid row.
    counter CACHE_LOOKUPS = "orderflow_cache_lookups_total";
    /// Queries for rows by id that Redis does not have, by `what` (`user`, `product`, `order`).
    counter ROW_QUERIES = "orderflow_row_queries_total";
}
