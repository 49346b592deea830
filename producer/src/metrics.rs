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
/// Orders handed over that were made invalid on purpose.
pub const INVALID: &str = "orderflow_producer_invalid_total";
/// Orders handed over and not yet told again.
pub const IN_FLIGHT: &str = "orderflow_producer_in_flight";
/// Seconds since the cache was refreshed.
pub const CACHE_AGE: &str = "orderflow_producer_cache_age_seconds";

/// The client library's own: messages in its queue.
pub const CLIENT_QUEUE_MESSAGES: &str = "orderflow_producer_client_queue_messages";
/// Bytes in the client library's queue.
pub const CLIENT_QUEUE_BYTES: &str = "orderflow_producer_client_queue_bytes";
/// Seconds that a request takes, by `broker` and `quantile`.
pub const ROUND_TRIP: &str = "orderflow_producer_broker_round_trip_seconds";
/// Requests that wait to be sent, by `broker`.
pub const REQUESTS_WAITING: &str = "orderflow_producer_broker_requests_waiting";
/// Requests that were sent and are not answered yet, by `broker`.
pub const REQUESTS_UNANSWERED: &str = "orderflow_producer_broker_requests_unanswered";
/// Requests sent again, by `broker`.
pub const RETRIES: &str = "orderflow_producer_broker_retries_total";
/// Requests not answered in time, by `broker`.
pub const TIMEOUTS: &str = "orderflow_producer_broker_timeouts_total";
/// 1 while the connection to the `broker` is up, else 0.
pub const CONNECTED: &str = "orderflow_producer_broker_connected";
