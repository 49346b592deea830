//! The names of the consumer's metrics.

/// Records read.
pub const CONSUMED: &str = "orderflow_consumer_consumed_total";
/// Rows inserted, according to the answers of the database.
pub const STORED: &str = "orderflow_consumer_stored_total";
/// Records whose order was in the table before, with the same content: read again, or inserted by a statement whose
/// answer was lost.
pub const DUPLICATES: &str = "orderflow_consumer_duplicates_total";
/// Records that the dead-letter topic acknowledged, by `kind`.
pub const DEAD_LETTERED: &str = "orderflow_consumer_dead_lettered_total";
/// Dead letters that lack a part of their record (`without`: `headers`, `value`), since the dead-letter topic refuses it.
pub const DEAD_LETTERS_REDUCED: &str = "orderflow_consumer_dead_letters_reduced_total";
/// Records read and left to the next owner of their partition.
pub const HANDED_BACK: &str = "orderflow_consumer_handed_back_total";
/// Records that the topic deleted before they were read.
pub const DELETED_UNREAD: &str = "orderflow_consumer_deleted_unread_total";
/// Records that a partition had deleted when the group started in it without a committed offset.
pub const DELETED_BEFORE_START: &str = "orderflow_consumer_deleted_before_start_total";
/// Records between the stored offset of a `partition` and its end.
pub const LAG: &str = "orderflow_consumer_lag_records";
/// Offset of a `partition` below which everything is stored, every second; NaN once the partition has left this
/// instance.
pub const STORED_OFFSET: &str = "orderflow_consumer_stored_offset";
/// Partitions that are assigned to this instance.
pub const ASSIGNED: &str = "orderflow_consumer_assigned_partitions";
/// Partitions of the topic that are behind, gain nothing and have no owner in the group.
pub const ABANDONED: &str = "orderflow_consumer_abandoned_partitions";
/// Bytes of records read and not yet stored.
pub const QUEUED_BYTES: &str = "orderflow_consumer_queued_bytes";
/// Seconds from due to stored, for each order.
pub const DUE_TO_COMMIT_SECONDS: &str = "orderflow_consumer_due_to_commit_seconds";
/// Seconds of each `stage` between due and stored (`broker`, `queue`, `decode`, `enrich`, `insert`), for each order.
pub const STAGE_SECONDS: &str = "orderflow_consumer_stage_seconds";
/// Rows in a batch.
pub const BATCH_ROWS: &str = "orderflow_consumer_batch_rows";
/// Ids looked up, by `what` (`user`, `product`) and `step` (`process`, `redis`, `database`, `unknown`).
pub const LOOKUPS: &str = "orderflow_consumer_lookups_total";
/// Rows of Redis that are not valid, by `what` (`user`, `product`). They are looked up in the database.
pub const INVALID_CACHE_ROWS: &str = "orderflow_consumer_invalid_cache_rows_total";
