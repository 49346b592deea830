//! Watches the whole group: each instance notices a partition that no member owns, whichever member should.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::Consumer,
    metadata::{MetadataBroker, MetadataPartition, MetadataTopic},
};
use tokio_util::sync::CancellationToken;

use super::{
    client::Member,
    group::Group,
    owner_watch::{ABANDONED_AFTER, MAX_JITTER, OwnerVerdict, OwnerWatch, UnownedPartition},
    owners::{Owners, owners},
    watermarks::fetch_watermarks,
};
use crate::{
    health::{ConsumerHealth, ConsumerIssue},
    metrics,
};

/// Time between two descriptions of the group, and a random part of up to a fifth of it.
const INTERVAL: Duration = Duration::from_secs(5);
/// The same while a partition may be abandoned.
const SUSPICIOUS_INTERVAL: Duration = Duration::from_secs(2);
/// Timeout of each request to the brokers.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// Reports partitions that are behind, gain nothing and have no owner, and makes this instance join the group anew.
pub struct OwnerMonitor {
    pub group: Arc<Group>,
    pub health: Arc<ConsumerHealth>,
}

impl OwnerMonitor {
    /// Watches until `stop`. A group that can't be described is not watched meanwhile.
    ///
    /// # Errors
    /// When a thread of the runtime panics.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut watch = OwnerWatch::default();
        loop {
            let interval = if watch.is_suspicious() { SUSPICIOUS_INTERVAL } else { INTERVAL };
            let delay = interval.mul_f64(1.0 + rand::random::<f64>() / 5.0);
            if stop.run_until_cancelled(tokio::time::sleep(delay)).await.is_none() {
                return Ok(());
            }
            let (member, group, stopping) = (self.group.member(), self.group.clone(), stop.clone());
            let asking = tokio::task::spawn_blocking(move || {
                let unowned = unowned_partitions(&member, group.name(), group.topic(), &stopping);
                // The last holder of the group must not be a thread that nobody waits for.
                drop((member, group));
                unowned
            });
            let Some(unowned) = stop.run_until_cancelled(asking).await else { return Ok(()) };
            match unowned.context("the group can't be described")? {
                Ok(Some(unowned)) => {
                    let jitter = MAX_JITTER.mul_f64(rand::random());
                    self.act(&watch.observe(&unowned, Instant::now(), jitter));
                }
                // A partition whose wait began before the rebalance waits on: rebalances may follow each other.
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!("consumer group: the owners of partitions are not known: {error:#}");
                    watch.reset();
                }
            }
        }
    }

    fn act(&self, OwnerVerdict { abandoned, rejoin }: &OwnerVerdict) {
        ::metrics::gauge!(metrics::ABANDONED).set(abandoned.len() as f64);
        if abandoned.is_empty() {
            self.health.resolve(ConsumerIssue::PartitionOwners);
            return;
        }
        let message = format!(
            "consumer group: partitions {abandoned:?} have no owner: they are behind, and no offset was committed for \
             more than {ABANDONED_AFTER:?}; instances join the group anew until it assigns them. See the members: \
             kafka-consumer-groups --describe --members --verbose --group {}",
            self.group.name()
        );
        self.health.report(ConsumerIssue::PartitionOwners, message);
        if *rejoin {
            self.group.request_rejoin();
        }
    }
}

/// The partitions that have no owner. None when the group is in a rebalance. Blocks.
fn unowned_partitions(
    member: &Member,
    group: &str,
    topic: &str,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Vec<UnownedPartition>>> {
    let consumer = member.consumer();
    let metadata = consumer.fetch_metadata(Some(topic), REQUEST_TIMEOUT).context("the topic can't be described")?;
    let brokers: Vec<i32> = metadata.brokers().iter().map(MetadataBroker::id).collect();
    let Owners::Of(owned) = owners(consumer, &brokers, group, topic)? else { return Ok(None) };
    let all = metadata.topics().iter().flat_map(MetadataTopic::partitions).map(MetadataPartition::id);
    let unowned: Vec<i32> = all.filter(|partition| !owned.contains(partition)).collect();
    if unowned.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let mut requested = TopicPartitionList::new();
    for partition in &unowned {
        requested.add_partition(topic, *partition);
    }
    let answer = consumer.committed_offsets(requested, REQUEST_TIMEOUT).context("the group's offsets can't be read")?;
    let readable = answer.elements().into_iter().filter(|place| place.error().is_ok());
    let committed: HashMap<i32, Offset> = readable.map(|place| (place.partition(), place.offset())).collect();
    let found = Mutex::new(Vec::new());
    fetch_watermarks(
        consumer,
        topic,
        &unowned,
        REQUEST_TIMEOUT,
        |_| !stop.is_cancelled(),
        |partition, watermarks| {
            let (Ok((first, end)), Some(committed)) = (watermarks, committed.get(&partition)) else { return };
            let committed = if let Offset::Offset(committed) = committed { *committed } else { first };
            found.lock().unwrap_or_else(PoisonError::into_inner).push(UnownedPartition { partition, committed, end });
        },
    );
    Ok(Some(found.into_inner().unwrap_or_else(PoisonError::into_inner)))
}
