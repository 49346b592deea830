//! The timed part of a contestant: from a fifth of the records in the topic to four fifths. The start of a process, its
//! connections and the first compilations of a JVM are before it. A buffer that is full is so at both ends: the client
//! makes as many records as the brokers receive.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaResult,
    topic_partition_list::TopicPartitionListElem,
};
use serde::Serialize;
use shared::kafka::KafkaSettings;
use tokio_util::sync::CancellationToken;

use crate::{
    bench::{
        cpu::{CpuMeter, CpuTime},
        timeouts::{REQUEST_TIMEOUT, SEND_TIMEOUT},
    },
    process::Program,
};

/// It limits the precision of the time: by at most two of these intervals, of some seconds.
const CHECK_INTERVAL: Duration = Duration::from_millis(25);

/// What a contestant did in its timed part.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Timed {
    pub records_per_second: f64,
    /// CPU seconds per million records.
    pub cpu: CpuTime,
}

/// The ends of the partitions of a topic. Up to there, all replicas in sync have the records.
pub struct TopicEnds {
    client: BaseConsumer,
    partitions: TopicPartitionList,
}

impl TopicEnds {
    /// # Errors
    /// When the settings are not usable.
    pub fn new(kafka: &KafkaSettings, topic: &str, partitions: usize) -> anyhow::Result<Self> {
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition_offset(topic, partition as i32, Offset::End)?;
        }
        Ok(Self { client: kafka.client(&[]).create()?, partitions: list })
    }

    fn records(&self) -> anyhow::Result<u64> {
        let ends = self.client.offsets_for_times(self.partitions.clone(), REQUEST_TIMEOUT);
        let ends = ends.context("the ends of the partitions can't be read")?;
        let end = |partition: &TopicPartitionListElem<'_>| {
            partition.error()?;
            Ok(partition.offset().to_raw().unwrap_or_default().max(0).cast_unsigned())
        };
        ends.elements().iter().map(end).sum::<KafkaResult<u64>>().context("the end of a partition can't be read")
    }
}

/// What is measured at one time.
#[derive(Clone, Copy)]
struct Reading {
    at: Instant,
    records: u64,
    cpu: CpuTime,
}

/// Waits until the topic has all `orders` of the program. Blocks.
///
/// # Errors
/// When the program fails, takes longer than [`SEND_TIMEOUT`], sends another number of records, or on `stop`.
pub fn time(
    program: &mut Program,
    ends: &TopicEnds,
    meter: &mut CpuMeter,
    orders: u64,
    stop: &CancellationToken,
) -> anyhow::Result<Timed> {
    let begun = Instant::now();
    let mut read = || {
        let records = ends.records()?;
        anyhow::Ok(Reading { at: Instant::now(), records, cpu: meter.read() })
    };
    let mut wait_for = |records: u64| {
        loop {
            let reading = read()?;
            if reading.records >= records {
                return Ok(reading);
            }
            if let Some(status) = program.try_wait()? {
                // It may have ended after the topic was read.
                let reading = read()?;
                ensure!(
                    reading.records >= records,
                    "it ended before all records were in the topic, {status}:\n{}",
                    program.log_tail()
                );
                return Ok(reading);
            }
            ensure!(!stop.is_cancelled(), "interrupted");
            ensure!(begun.elapsed() < SEND_TIMEOUT, "it takes longer than {SEND_TIMEOUT:?}: use fewer --orders");
            sleep(CHECK_INTERVAL);
        }
    };
    let (first, last, end) = (wait_for(orders / 5)?, wait_for(orders / 5 * 4)?, wait_for(orders)?);
    ensure!(end.records == orders, "the topic has {} records instead of {orders}", end.records);
    ensure!(last.records > first.records, "it is too fast to be timed: use more --orders");
    Ok(between(first, last))
}

fn between(first: Reading, last: Reading) -> Timed {
    let records = (last.records - first.records) as f64;
    Timed {
        records_per_second: records / last.at.duration_since(first.at).as_secs_f64(),
        cpu: last.cpu.since(first.cpu, records / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_and_cpu_are_those_between_the_two_readings() {
        let at = Instant::now();
        let cpu = |clients, brokers| CpuTime { clients, brokers: Some(brokers), postgres: None };
        let first = Reading { at, records: 100_000, cpu: cpu(3.0, 10.0) };
        let at = at + Duration::from_secs(2);
        let last = Reading { at, records: 500_000, cpu: cpu(3.5, 12.0) };
        let Timed { records_per_second, cpu: per_million } = between(first, last);
        assert_eq!((records_per_second, per_million), (200_000.0, cpu(1.25, 5.0)));
    }
}
