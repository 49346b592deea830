//! The ends and the committed offsets of the orders topic, asked from the brokers every second by a thread of its own.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaResult,
};
use shared::{
    kafka::{KafkaSettings, partition_count},
    services::ServiceSettings,
};

use super::stop_signal::StopSignal;

/// Timeout of a request. A broker that is paused does not delay the next second for longer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);
/// Offsets that are older than this are not those of the current second.
const MAX_AGE: Duration = Duration::from_millis(1_500);
/// While a broker does not answer, the partitions are asked one by one; after so many seconds all at once again.
const ONE_BY_ONE_SECONDS: u32 = 10;

/// The topic and the group whose lag is measured.
#[derive(Clone, Debug)]
pub struct LagSource {
    pub kafka: KafkaSettings,
    pub topic: String,
    pub group: String,
}

impl LagSource {
    /// The orders topic of `services`, and a group.
    pub fn new(services: &ServiceSettings, group: &str) -> Self {
        let (kafka, topic) = (services.kafka.clone(), services.topic.topic.clone());
        Self { kafka, topic, group: group.to_owned() }
    }
}

/// Where a partition ends, and where the group continues in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionOffsets {
    pub end: i64,
    /// Committed offset of the group, or the first offset of the partition when it has none.
    pub committed: i64,
}

/// The offsets that were read last, and when. Clones share them.
#[derive(Clone, Default)]
pub struct LatestOffsets(Arc<Mutex<Option<OffsetsAt>>>);

struct OffsetsAt {
    read: Instant,
    offsets: BTreeMap<i32, PartitionOffsets>,
}

impl LatestOffsets {
    /// The partitions whose offsets are known in this second.
    pub fn current(&self) -> BTreeMap<i32, PartitionOffsets> {
        let latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        latest
            .iter()
            .filter(|latest| latest.read.elapsed() < MAX_AGE)
            .flat_map(|latest| latest.offsets.clone())
            .collect()
    }

    fn set(&self, offsets: BTreeMap<i32, PartitionOffsets>) {
        let latest = OffsetsAt { read: Instant::now(), offsets };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(latest);
    }
}

/// Reads the offsets at every whole second until `stop`. A cluster that does not answer is asked again.
pub fn watch_offsets(source: &LagSource, latest: &LatestOffsets, stop: &StopSignal) {
    let mut reader = None;
    let mut warned = false;
    while stop.wait_until_second(Duration::ZERO) {
        let result = match &mut reader {
            None => OffsetReader::open(source).map(|opened| reader = Some(opened)),
            Some(reader) => reader.read().map(|offsets| latest.set(offsets)),
        };
        if let Err(error) = &result
            && !std::mem::replace(&mut warned, true)
        {
            tracing::warn!("lag of group {}: not known until the brokers answer: {error:#}", source.group);
        }
        warned &= result.is_err();
    }
}

struct OffsetReader {
    client: BaseConsumer,
    topic: String,
    partitions: Vec<i32>,
    committed: BTreeMap<i32, i64>,
    /// First offsets of the partitions without a committed one.
    first: BTreeMap<i32, i64>,
    one_by_one: u32,
}

impl OffsetReader {
    fn open(source: &LagSource) -> anyhow::Result<Self> {
        let settings = [("group.id", source.group.as_str()), ("enable.auto.commit", "false")];
        let client: BaseConsumer = source.kafka.client(&settings).create()?;
        let count = partition_count(&client, &source.topic)?;
        ensure!(count > 0, "topic {} does not exist", source.topic);
        let (topic, partitions) = (source.topic.clone(), (0..count).collect());
        Ok(Self { client, topic, partitions, committed: BTreeMap::new(), first: BTreeMap::new(), one_by_one: 0 })
    }

    fn read(&mut self) -> anyhow::Result<BTreeMap<i32, PartitionOffsets>> {
        let ends = self.ends();
        ensure!(!ends.is_empty(), "no broker answers");
        // Without an answer the offsets that were committed last are used: they are at most too low.
        if let Ok(committed) = self.client.committed_offsets(self.list(Offset::Invalid)?, REQUEST_TIMEOUT) {
            self.committed.extend(offsets(&committed));
        }
        if self.partitions.iter().any(|partition| !self.committed.contains_key(partition)) && self.first.is_empty() {
            self.first = self.query(Offset::Beginning).context("the first offsets can't be read")?;
        }
        let offsets = ends.into_iter().filter_map(|(partition, end)| {
            let committed = *self.committed.get(&partition).or_else(|| self.first.get(&partition))?;
            Some((partition, PartitionOffsets { end, committed }))
        });
        Ok(offsets.collect())
    }

    /// The ends of the partitions whose leader answers. One request to each broker returns those of all partitions; it
    /// returns none when one of the brokers does not answer.
    fn ends(&mut self) -> BTreeMap<i32, i64> {
        if self.one_by_one == 0 {
            match self.query(Offset::End) {
                Ok(ends) => return ends,
                Err(_) => self.one_by_one = ONE_BY_ONE_SECONDS,
            }
        }
        self.one_by_one -= 1;
        std::thread::scope(|scope| {
            let end = |partition| {
                let (_, end) = self.client.fetch_watermarks(&self.topic, partition, REQUEST_TIMEOUT).ok()?;
                Some((partition, end))
            };
            let asked: Vec<_> = self.partitions.iter().map(|partition| scope.spawn(move || end(*partition))).collect();
            asked.into_iter().filter_map(|asked| asked.join().ok().flatten()).collect()
        })
    }

    /// `Offset::Beginning` or `Offset::End` of all partitions: librdkafka passes it on as the timestamp −2 or −1.
    fn query(&self, offset: Offset) -> KafkaResult<BTreeMap<i32, i64>> {
        let found = self.client.offsets_for_times(self.list(offset)?, REQUEST_TIMEOUT)?;
        Ok(offsets(&found))
    }

    fn list(&self, offset: Offset) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for partition in &self.partitions {
            list.add_partition_offset(&self.topic, *partition, offset)?;
        }
        Ok(list)
    }
}

/// The offsets in a list, of the partitions that have one.
fn offsets(list: &TopicPartitionList) -> BTreeMap<i32, i64> {
    let elements = list.elements();
    let known = elements.iter().filter(|element| element.error().is_ok());
    known
        .filter_map(|element| Some((element.partition(), element.offset().to_raw().filter(|offset| *offset >= 0)?)))
        .collect()
}
