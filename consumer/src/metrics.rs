//! The names of what the consumer counts.

/// Records read.
pub const CONSUMED: &str = "orderflow_consumer_consumed_total";
/// Rows inserted, as far as the database's answer came.
pub const STORED: &str = "orderflow_consumer_stored_total";
/// Records whose order was in the table already: read again, or inserted by a statement whose answer was lost.
pub const DUPLICATES: &str = "orderflow_consumer_duplicates_total";
/// Records that the dead-letter topic acknowledged, by `kind`.
pub const DEAD_LETTERED: &str = "orderflow_consumer_dead_lettered_total";
/// Records read but left to the partition's next owner.
pub const HANDED_BACK: &str = "orderflow_consumer_handed_back_total";
/// Records that the topic deleted before they were read.
pub const DELETED_UNREAD: &str = "orderflow_consumer_deleted_unread_total";
/// Records between what is stored of a `partition` and its end.
pub const LAG: &str = "orderflow_consumer_lag_records";
/// Partitions that this instance has now.
pub const ASSIGNED: &str = "orderflow_consumer_assigned_partitions";
/// Bytes of records read and not yet stored.
pub const QUEUED_BYTES: &str = "orderflow_consumer_queued_bytes";
/// From due to commit, for each order.
pub const DUE_TO_COMMIT_SECONDS: &str = "orderflow_consumer_due_to_commit_seconds";
/// The parts of that, by `stage` (`broker`, `queue`, `decode`, `enrich`, `insert`), for each order.
pub const STAGE_SECONDS: &str = "orderflow_consumer_stage_seconds";
/// Rows a batch.
pub const BATCH_ROWS: &str = "orderflow_consumer_batch_rows";
/// Lookups, by `what` (`user`, `product`) and `step` (`process`, `redis`, `database`, `unknown`).
pub const LOOKUPS: &str = "orderflow_consumer_lookups_total";
