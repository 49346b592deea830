//! The names of what the producer counts.

/// Orders handed to the client library.
pub const ENQUEUED: &str = "orderflow_producer_enqueued_total";
/// Orders acknowledged by the brokers.
pub const ACKNOWLEDGED: &str = "orderflow_producer_acknowledged_total";
/// Orders not acknowledged, by `fate` (`failed`: surely not in the log, `unknown`).
pub const UNACKNOWLEDGED: &str = "orderflow_producer_unacknowledged_total";
/// Times that the client's queue was full.
pub const QUEUE_FULL: &str = "orderflow_producer_queue_full_total";
/// Times that a drawn batch of samples was used again, since no fresh one was there.
pub const SAMPLES_REUSED: &str = "orderflow_producer_samples_reused_total";
