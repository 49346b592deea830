//! Exports librdkafka's statistics as metrics.

use rdkafka::{Statistics, statistics::Broker};
use tokio::sync::watch;

use crate::metrics;

/// Exports the latest statistics until the client is dropped. They arrive as JSON on the sending thread, and are parsed
/// here to spare it that time.
pub async fn export(mut statistics: watch::Receiver<Vec<u8>>) {
    while statistics.changed().await.is_ok() {
        let json = statistics.borrow_and_update().clone();
        match serde_json::from_slice::<Statistics>(&json) {
            Ok(statistics) => export_one(&statistics),
            Err(error) => tracing::debug!(%error, "librdkafka's statistics can't be parsed"),
        }
    }
}

fn export_one(statistics: &Statistics) {
    ::metrics::gauge!(metrics::CLIENT_QUEUE_MESSAGES).set(statistics.msg_cnt as f64);
    ::metrics::gauge!(metrics::CLIENT_QUEUE_BYTES).set(statistics.msg_size as f64);
    // Brokers with a negative id are the bootstrap addresses.
    for broker in statistics.brokers.values().filter(|broker| broker.nodeid >= 0) {
        export_broker(broker);
    }
}

fn export_broker(broker: &Broker) {
    let id = broker.nodeid.to_string();
    let label = || ("broker", id.clone());
    let count = |count: i64| u64::try_from(count).unwrap_or_default();
    ::metrics::gauge!(metrics::CONNECTED, &[label()]).set(f64::from(u8::from(broker.state == "UP")));
    ::metrics::gauge!(metrics::REQUESTS_WAITING, &[label()]).set(broker.outbuf_cnt as f64);
    ::metrics::gauge!(metrics::REQUESTS_UNANSWERED, &[label()]).set(broker.waitresp_cnt as f64);
    ::metrics::counter!(metrics::RETRIES, &[label()]).absolute(count(broker.txretries as i64));
    ::metrics::counter!(metrics::TIMEOUTS, &[label()]).absolute(count(broker.req_timeouts as i64));
    if let Some(round_trip) = &broker.rtt {
        // Prometheus reserves the label `quantile` for summaries.
        for (percentile, micros) in [("50", round_trip.p50), ("99", round_trip.p99)] {
            let labels = [label(), ("percentile", percentile.to_owned())];
            ::metrics::gauge!(metrics::ROUND_TRIP, &labels).set(micros as f64 / 1e6);
        }
    }
}
