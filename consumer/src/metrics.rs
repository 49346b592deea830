//! The consumer's metrics.

use shared::lookup;

use crate::model::RejectReason;

shared::metric_names! {
    /// Records read, without changes of orders.
    counter CONSUMED = "orderflow_consumer_consumed_total";
    /// Rows inserted, according to the answers of the database.
    counter STORED = "orderflow_consumer_stored_total";
    /// Records whose order was in the table before, with the same content: read again, or inserted by a statement whose
    /// answer was lost.
    counter DUPLICATES = "orderflow_consumer_duplicates_total";
    /// Records that the dead-letter topic acknowledged, by `kind`, without changes.
    counter DEAD_LETTERED = "orderflow_consumer_dead_lettered_total";
    /// Dead letters that lack a part of their record (`part`: `headers`, `value`), which the topic refuses.
    counter DEAD_LETTERS_REDUCED = "orderflow_consumer_dead_letters_reduced_total";
    /// Records read and left to the next owner of their partition, without changes.
    counter HANDED_BACK = "orderflow_consumer_handed_back_total";
    /// Changes of orders read: records with the event type `order.status_changed.v1`.
    counter CHANGES_CONSUMED = "orderflow_consumer_changes_consumed_total";
    /// Changes added to the histories of their orders, according to the answers of the database.
    counter CHANGES_STORED = "orderflow_consumer_changes_stored_total";
    /// Changes that were in the histories before, with the same content.
    counter CHANGES_DUPLICATES = "orderflow_consumer_changes_duplicates_total";
    /// Changes that the dead-letter topic acknowledged, by `kind`.
    counter CHANGES_DEAD_LETTERED = "orderflow_consumer_changes_dead_lettered_total";
    /// Changes read and left to the next owner of their partition.
    counter CHANGES_HANDED_BACK = "orderflow_consumer_changes_handed_back_total";
    /// Changed orders that were invalidated in Redis (`--invalidate`).
    counter INVALIDATED = "orderflow_consumer_orders_invalidated_total";
    /// Changed orders that were not invalidated, since Redis failed (`--invalidate`). Readers may see their former
    /// status for 300 s.
    counter NOT_INVALIDATED = "orderflow_consumer_orders_not_invalidated_total";
    /// Records that the topic deleted before they were read.
    counter DELETED_UNREAD = "orderflow_consumer_deleted_unread_total";
    /// Records that a partition had deleted when the group started in it without a committed offset.
    counter DELETED_BEFORE_START = "orderflow_consumer_deleted_before_start_total";
    /// Records between the stored offset of a `partition` and its end.
    gauge LAG = "orderflow_consumer_lag_records";
    /// Age of the oldest record of a `partition` that was read and is not stored, by its timestamp; else 0. Every
    /// second, also without brokers.
    gauge LAG_SECONDS = "orderflow_consumer_lag_seconds";
    /// How long the topic keeps its records (retention.ms), read every five minutes. None if it keeps them without end.
    gauge RETENTION_SECONDS = "orderflow_consumer_retention_seconds";
    /// Offset of a `partition` below which everything is stored, every second; NaN once the partition has left this
    /// instance.
    gauge STORED_OFFSET = "orderflow_consumer_stored_offset";
    /// Partitions that are assigned to this instance.
    gauge ASSIGNED = "orderflow_consumer_assigned_partitions";
    /// Partitions of the topic that are behind, gain nothing and have no owner in the group.
    gauge ABANDONED = "orderflow_consumer_abandoned_partitions";
    /// Bytes of records read and not yet stored.
    gauge QUEUED_BYTES = "orderflow_consumer_queued_bytes";
    /// Seconds from due to stored, for each order.
    histogram DUE_TO_COMMIT_SECONDS = "orderflow_consumer_due_to_commit_seconds";
    /// Seconds from due to stored, for each change of an order.
    histogram CHANGE_DUE_TO_COMMIT_SECONDS = "orderflow_consumer_change_due_to_commit_seconds";
    /// Seconds of each `stage` from due to stored (`broker`, `queue`, `decode`, `enrich`, `insert`), for each order.
    histogram STAGE_SECONDS = "orderflow_consumer_stage_seconds";
    /// Rows in a batch.
    histogram BATCH_ROWS = "orderflow_consumer_batch_rows";
    /// Ids looked up, by `what` (`user`, `product`) and `step` (`process`, `redis`, `database`, `unknown`).
    counter LOOKUPS = "orderflow_consumer_lookups_total";
    /// Rows of Redis that are not valid, by `what` (`user`, `product`). They are looked up in the database.
    counter INVALID_CACHE_ROWS = "orderflow_consumer_invalid_cache_rows_total";
}

/// The counters of the records of one kind, by outcome.
#[derive(Clone, Copy)]
pub struct RecordMetrics {
    pub consumed: &'static str,
    pub stored: &'static str,
    pub duplicates: &'static str,
    pub dead_lettered: &'static str,
    pub handed_back: &'static str,
}

pub const OF_ORDERS: RecordMetrics = RecordMetrics {
    consumed: CONSUMED,
    stored: STORED,
    duplicates: DUPLICATES,
    dead_lettered: DEAD_LETTERED,
    handed_back: HANDED_BACK,
};

pub const OF_CHANGES: RecordMetrics = RecordMetrics {
    consumed: CHANGES_CONSUMED,
    stored: CHANGES_STORED,
    duplicates: CHANGES_DUPLICATES,
    dead_lettered: CHANGES_DEAD_LETTERED,
    handed_back: CHANGES_HANDED_BACK,
};

/// Describes the metrics, and registers those of what may never happen: its first time is an increase then.
pub fn register() {
    describe();
    lookup::register_metrics();
    for RecordMetrics { consumed, stored, duplicates, dead_lettered, handed_back } in [OF_ORDERS, OF_CHANGES] {
        for name in [consumed, stored, duplicates, handed_back] {
            ::metrics::counter!(name).increment(0);
        }
        for kind in RejectReason::KINDS {
            ::metrics::counter!(dead_lettered, "kind" => kind).increment(0);
        }
    }
    for name in [DELETED_UNREAD, DELETED_BEFORE_START, INVALIDATED, NOT_INVALIDATED] {
        ::metrics::counter!(name).increment(0);
    }
    for part in ["headers", "value"] {
        ::metrics::counter!(DEAD_LETTERS_REDUCED, "part" => part).increment(0);
    }
    for what in ["user", "product"] {
        ::metrics::counter!(INVALID_CACHE_ROWS, "what" => what).increment(0);
        for step in ["process", "redis", "database", "unknown"] {
            ::metrics::counter!(LOOKUPS, "what" => what, "step" => step).increment(0);
        }
    }
    for name in [ASSIGNED, ABANDONED, QUEUED_BYTES] {
        ::metrics::gauge!(name).set(0.0);
    }
}
