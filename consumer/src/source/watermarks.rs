//! The first offset and the end of partitions. A partition without a leader delays no other one.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use rdkafka::{consumer::Consumer, error::KafkaResult};

use super::client::GroupConsumer;

/// Threads that ask at the same time. A partition without a leader keeps one of them until the timeout.
const MAX_THREADS: usize = 8;

/// Asks the brokers for the first offset and the end of each partition, and calls `found` with the answer. A partition
/// that is not `wanted` when it is its turn is left out. Blocks, at worst for `timeout` for every [`MAX_THREADS`]
/// partitions.
pub fn fetch_watermarks(
    consumer: &GroupConsumer,
    topic: &str,
    partitions: &[i32],
    timeout: Duration,
    wanted: impl Fn(i32) -> bool + Sync,
    found: impl Fn(i32, KafkaResult<(i64, i64)>) + Sync,
) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..partitions.len().min(MAX_THREADS) {
            scope.spawn(|| {
                while let Some(partition) = partitions.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if wanted(*partition) {
                        found(*partition, consumer.fetch_watermarks(topic, *partition, timeout));
                    }
                }
            });
        }
    });
}
