//! The producer's metrics.

use shared::lifecycle::OrderStatus;

shared::metric_names! {
    /// Orders due by the schedule until now: its rate is the target. None without a schedule (--rate max).
    counter DUE = "orderflow_producer_due_total";
    /// Orders enqueued: in librdkafka, or behind it while their partition waits.
    counter ENQUEUED = "orderflow_producer_enqueued_total";
    /// Orders acknowledged by the brokers.
    counter ACKNOWLEDGED = "orderflow_producer_acknowledged_total";
    /// Orders not acknowledged, by `outcome` (`failed`: certainly not in the log, `unknown`: may be in the log).
    counter UNACKNOWLEDGED = "orderflow_producer_unacknowledged_total";
    /// Number of times that librdkafka's queue was full.
    counter QUEUE_FULL = "orderflow_producer_queue_full_total";
    /// Number of times that a batch of samples was reused because the next one was not fetched yet.
    counter SAMPLES_REUSED = "orderflow_producer_samples_reused_total";
    /// Enqueued orders that are invalid on purpose.
    counter INVALID = "orderflow_producer_invalid_total";
    /// Enqueued orders without a delivery report.
    gauge IN_FLIGHT = "orderflow_producer_in_flight";
    /// Seconds from due to enqueued, for each order of a schedule after the warm-up.
    histogram DUE_TO_ENQUEUED_SECONDS = "orderflow_producer_due_to_enqueued_seconds";
    /// Seconds from due to acknowledged, for each order of a schedule after the warm-up.
    histogram DUE_TO_ACKNOWLEDGED_SECONDS = "orderflow_producer_due_to_acknowledged_seconds";
    /// Changes of orders that are not sent yet (--lifecycle, as the following metrics).
    gauge CHANGES_PENDING = "orderflow_producer_changes_pending";
    /// Changes enqueued: in librdkafka, or behind it while their partition waits.
    counter CHANGES_ENQUEUED = "orderflow_producer_changes_enqueued_total";
    /// Changes acknowledged by the brokers, by `status`.
    counter CHANGES_ACKNOWLEDGED = "orderflow_producer_changes_acknowledged_total";
    /// Changes not acknowledged, by `outcome` (`failed`: certainly not in the log, `unknown`: may be in the log).
    counter CHANGES_UNACKNOWLEDGED = "orderflow_producer_changes_unacknowledged_total";
    /// Changes that are never sent: too many are pending, or the run ends without them.
    counter CHANGES_SKIPPED = "orderflow_producer_changes_skipped_total";
    /// Enqueued changes without a delivery report.
    gauge CHANGES_IN_FLIGHT = "orderflow_producer_changes_in_flight";
    /// Seconds from due to enqueued, for each change of an order after the warm-up.
    histogram CHANGE_DUE_TO_ENQUEUED_SECONDS = "orderflow_producer_change_due_to_enqueued_seconds";
    /// Seconds from due to acknowledged, for each change of an order after the warm-up.
    histogram CHANGE_DUE_TO_ACKNOWLEDGED_SECONDS = "orderflow_producer_change_due_to_acknowledged_seconds";
    /// Seconds since the last refresh of the cache.
    gauge CACHE_AGE = "orderflow_producer_cache_age_seconds";

    /// Messages in librdkafka's queue.
    gauge CLIENT_QUEUE_MESSAGES = "orderflow_producer_client_queue_messages";
    /// Bytes in librdkafka's queue.
    gauge CLIENT_QUEUE_BYTES = "orderflow_producer_client_queue_bytes";
    /// Round trip of a request in seconds in the last second, by `broker` and `percentile` (`50`, `99`).
    gauge ROUND_TRIP = "orderflow_producer_broker_round_trip_seconds";
    /// Requests waiting to be sent, by `broker`.
    gauge REQUESTS_WAITING = "orderflow_producer_broker_requests_waiting";
    /// Requests sent and not answered yet, by `broker`.
    gauge REQUESTS_UNANSWERED = "orderflow_producer_broker_requests_unanswered";
    /// Request retries, by `broker`.
    counter RETRIES = "orderflow_producer_broker_retries_total";
    /// Request timeouts, by `broker`.
    counter TIMEOUTS = "orderflow_producer_broker_timeouts_total";
    /// 1 while the `broker` is connected, else 0.
    gauge CONNECTED = "orderflow_producer_broker_connected";
}

/// Describes the metrics, and registers the counters of what may never happen: its first time is an increase then.
pub fn register() {
    describe();
    for outcome in ["failed", "unknown"] {
        ::metrics::counter!(UNACKNOWLEDGED, "outcome" => outcome).increment(0);
    }
    ::metrics::counter!(SAMPLES_REUSED).increment(0);
}

/// The same for the changes of a run with lifecycles.
pub fn register_changes() {
    for status in OrderStatus::ALL.iter().flat_map(|status| status.next()) {
        ::metrics::counter!(CHANGES_ACKNOWLEDGED, "status" => status.as_str()).increment(0);
    }
    for outcome in ["failed", "unknown"] {
        ::metrics::counter!(CHANGES_UNACKNOWLEDGED, "outcome" => outcome).increment(0);
    }
    ::metrics::counter!(CHANGES_SKIPPED).increment(0);
}
