use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::BorrowedMessage,
};

use super::{settings::KafkaSettings, topic::partition_count};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Without a record for this long, the topic can't be read to its end.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Reads `topic` once to its end, from the records of time `from` on or from the beginning, outside of any group, and gives
/// each record to `look`. A topic that doesn't exist has none. Blocks.
///
/// # Errors
/// When the cluster doesn't answer, or stops answering, or `visit` fails.
pub fn scan(
    kafka: &KafkaSettings,
    topic: &str,
    from: Option<DateTime<Utc>>,
    mut visit: impl FnMut(&BorrowedMessage<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    // The group is named because the client wants one; it is never joined and commits nothing.
    let role = [
        ("group.id", "orderflow-scan"),
        ("enable.auto.commit", "false"),
        ("enable.partition.eof", "true"),
        ("auto.offset.reset", "error"),
    ];
    kafka.ensure_reachable()?;
    let client: BaseConsumer = kafka.client(&role).create().context("the Kafka settings are not usable")?;
    let partitions = partition_count(&client, topic)?;
    if partitions == 0 {
        return Ok(());
    }
    client.assign(&begin(&client, topic, partitions, from)?).context("the topic can't be read")?;

    let mut at_end = vec![false; partitions as usize];
    let mut last_record = Instant::now();
    while !at_end.iter().all(|at_end| *at_end) {
        match client.poll(Duration::from_millis(200)) {
            Some(Ok(record)) => {
                last_record = Instant::now();
                visit(&record)?;
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => at_end[partition as usize] = true,
            Some(Err(error)) => tracing::debug!(%error, "the topic's reader goes on"),
            None => {}
        }
        if last_record.elapsed() > STALL_TIMEOUT {
            bail!("topic {topic} can't be read to its end: {} s without a record", STALL_TIMEOUT.as_secs());
        }
    }
    Ok(())
}

fn begin(
    client: &BaseConsumer,
    topic: &str,
    partitions: i32,
    from: Option<DateTime<Utc>>,
) -> anyhow::Result<TopicPartitionList> {
    let mut places = TopicPartitionList::new();
    for partition in 0..partitions {
        let place = from.map_or(Offset::Beginning, |from| Offset::Offset(from.timestamp_millis().max(0)));
        places.add_partition_offset(topic, partition, place)?;
    }
    match from {
        None => Ok(places),
        Some(_) => {
            client.offsets_for_times(places, REQUEST_TIMEOUT).context("the topic's offsets can't be looked up by time")
        }
    }
}
