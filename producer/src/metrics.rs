//! The names of the metrics.

/// Orders enqueued: in librdkafka, or behind it while their partition waits.
pub const ENQUEUED: &str = "orderflow_producer_enqueued_total";
/// Orders acknowledged by the brokers.
pub const ACKNOWLEDGED: &str = "orderflow_producer_acknowledged_total";
/// Orders not acknowledged, by `outcome` (`failed`: certainly not in the log, `unknown`: may be in the log).
pub const UNACKNOWLEDGED: &str = "orderflow_producer_unacknowledged_total";
/// Number of times that librdkafka's queue was full.
pub const QUEUE_FULL: &str = "orderflow_producer_queue_full_total";
/// Number of times that a batch of samples was reused because the next one was not fetched yet.
pub const SAMPLES_REUSED: &str = "orderflow_producer_samples_reused_total";
/// Enqueued orders that are invalid on purpose.
pub const INVALID: &str = "orderflow_producer_invalid_total";
/// Enqueued orders without a delivery report.
pub const IN_FLIGHT: &str = "orderflow_producer_in_flight";
/// Seconds since the last refresh of the cache.
pub const CACHE_AGE: &str = "orderflow_producer_cache_age_seconds";

/// Messages in librdkafka's queue.
pub const CLIENT_QUEUE_MESSAGES: &str = "orderflow_producer_client_queue_messages";
/// Bytes in librdkafka's queue.
pub const CLIENT_QUEUE_BYTES: &str = "orderflow_producer_client_queue_bytes";
/// Round trip of a request in seconds, by `broker` and `quantile`.
pub const ROUND_TRIP: &str = "orderflow_producer_broker_round_trip_seconds";
/// Requests waiting to be sent, by `broker`.
pub const REQUESTS_WAITING: &str = "orderflow_producer_broker_requests_waiting";
/// Requests sent and not answered yet, by `broker`.
pub const REQUESTS_UNANSWERED: &str = "orderflow_producer_broker_requests_unanswered";
/// Request retries, by `broker`.
pub const RETRIES: &str = "orderflow_producer_broker_retries_total";
/// Request timeouts, by `broker`.
pub const TIMEOUTS: &str = "orderflow_producer_broker_timeouts_total";
/// 1 while the `broker` is connected, else 0.
pub const CONNECTED: &str = "orderflow_producer_broker_connected";
