//! The timed part of a contestant: from a fifth of the records in the topic until all are. The start of a process, its
//! connections and the first compilations of a JVM are before it.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use procfs::process::Process;
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
    bench::timeouts::{REQUEST_TIMEOUT, SEND_TIMEOUT},
    process::Program,
};

/// It limits the precision of the time: by at most two of these intervals, of some seconds.
const CHECK_INTERVAL: Duration = Duration::from_millis(25);

/// What a contestant did in its timed part.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Timed {
    pub records_per_second: f64,
    /// CPU seconds of the process per million records.
    pub client_cpu: f64,
    /// CPU seconds of all brokers per million records; none when they are not processes of this machine.
    pub broker_cpu: Option<f64>,
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
    client_cpu: f64,
    broker_cpu: Option<f64>,
}

/// Waits until the topic has all `orders` of the program. Blocks.
///
/// # Errors
/// When the program fails, takes longer than [`SEND_TIMEOUT`], sends another number of records, or on `stop`.
pub fn time(
    program: &mut Program,
    ends: &TopicEnds,
    brokers: &[i32],
    orders: u64,
    stop: &CancellationToken,
) -> anyhow::Result<Timed> {
    let (begun, client) = (Instant::now(), Process::new(program.pid() as i32)?);
    let brokers: Vec<Process> = brokers.iter().map(|pid| Process::new(*pid)).collect::<Result<_, _>>()?;
    let mut last_cpu = 0.0;
    let mut read = || {
        let records = ends.records()?;
        // It may have ended since: its last acknowledgements come with the last records.
        last_cpu = cpu_seconds(&client).unwrap_or(last_cpu);
        let all: Option<f64> = brokers.iter().map(cpu_seconds).sum();
        let broker_cpu = all.filter(|_| !brokers.is_empty());
        anyhow::Ok(Reading { at: Instant::now(), records, client_cpu: last_cpu, broker_cpu })
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
    let (first, last) = (wait_for(orders / 5)?, wait_for(orders)?);
    ensure!(last.records == orders, "the topic has {} records instead of {orders}", last.records);
    ensure!(last.records > first.records, "it is too fast to be timed: use more --orders");
    Ok(between(first, last))
}

fn between(first: Reading, last: Reading) -> Timed {
    let records = (last.records - first.records) as f64;
    let per_million = |cpu: f64| cpu / records * 1e6;
    Timed {
        records_per_second: records / last.at.duration_since(first.at).as_secs_f64(),
        client_cpu: per_million(last.client_cpu - first.client_cpu),
        broker_cpu: last.broker_cpu.zip(first.broker_cpu).map(|(last, first)| per_million(last - first)),
    }
}

/// None when the process has ended.
fn cpu_seconds(process: &Process) -> Option<f64> {
    let stat = process.stat().ok()?;
    Some((stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_and_cpu_are_those_between_the_two_readings() {
        let at = Instant::now();
        let first = Reading { at, records: 100_000, client_cpu: 3.0, broker_cpu: Some(10.0) };
        let at = at + Duration::from_secs(2);
        let last = Reading { at, records: 500_000, client_cpu: 3.5, broker_cpu: Some(12.0) };
        let Timed { records_per_second, client_cpu, broker_cpu } = between(first, last);
        assert_eq!((records_per_second, client_cpu, broker_cpu), (200_000.0, 1.25, Some(5.0)));
        let elsewhere = Reading { broker_cpu: None, ..last };
        assert_eq!(between(first, elsewhere).broker_cpu, None);
    }
}
