//! Membership of the group: joining, rebalances, commits.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use rdkafka::{
    ClientContext, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance},
    error::{KafkaError, RDKafkaErrorCode},
};
use shared::kafka::KafkaSettings;

use crate::{
    assignment::Assignment,
    settings::{GroupProtocol, GroupSettings},
};

/// Follows the group's rebalances.
pub struct GroupContext {
    assignment: Arc<Assignment>,
    drain: Duration,
}

/// The group's client.
pub type GroupConsumer = BaseConsumer<GroupContext>;

impl ClientContext for GroupContext {}

impl ConsumerContext for GroupContext {
    /// Runs within `poll`. What is under way of the partitions is stored first, then its offsets are committed, so that
    /// the next owner does nothing twice. If they were lost already, it may have begun: everything is dropped.
    fn pre_rebalance(&self, consumer: &GroupConsumer, rebalance: &Rebalance<'_>) {
        let Rebalance::Revoke(list) = rebalance else { return };
        let partitions = partitions_of(list);
        if consumer.assignment_lost() {
            tracing::warn!(?partitions, "partitions lost: what was under way is left to their next owner");
            self.assignment.revoke(&partitions);
            return;
        }
        let drained = self.assignment.drain(&partitions, Instant::now() + self.drain);
        self.assignment.revoke(&partitions);
        commit(consumer);
        tracing::info!(?partitions, drained, "partitions revoked");
    }

    fn post_rebalance(&self, consumer: &GroupConsumer, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => {
                let partitions = partitions_of(list);
                self.assignment.grant(partitions.iter().copied());
                // A pause survives an assignment; a partition that comes back paused would stall silently.
                if let Err(error) = consumer.resume(list) {
                    tracing::warn!(%error, "new partitions can't be resumed");
                }
                if !partitions.is_empty() {
                    tracing::info!(?partitions, all = self.assignment.partitions().len(), "partitions assigned");
                }
            }
            Rebalance::Revoke(_) => {}
            Rebalance::Error(error) => tracing::warn!(%error, "the group's rebalance failed"),
        }
    }
}

fn partitions_of(list: &TopicPartitionList) -> Vec<i32> {
    list.elements().iter().map(rdkafka::topic_partition_list::TopicPartitionListElem::partition).collect()
}

/// Commits every offset that is stored, and waits for it.
pub fn commit(consumer: &GroupConsumer) {
    match consumer.commit_consumer_state(CommitMode::Sync) {
        // Nothing new to commit is success.
        Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
        Err(error) => {
            tracing::warn!(%error, "offsets are not committed; the orders will be read again and change nothing");
        }
    }
}

/// Joins the group.
///
/// # Errors
/// When a setting is wrong.
pub fn join(
    kafka: &KafkaSettings,
    group: &GroupSettings,
    topic: &str,
    assignment: Arc<Assignment>,
) -> anyhow::Result<GroupConsumer> {
    let mut role = vec![
        ("group.id", group.group.as_str()),
        // A group without offsets begins at the beginning; the library's default would skip orders silently.
        ("auto.offset.reset", "earliest"),
        ("enable.auto.commit", "true"),
        ("auto.commit.interval.ms", "1000"),
        ("enable.auto.offset.store", "false"),
        // The library's own queue counts in the instance's memory, at some 500 bytes a record beside the record itself,
        // so it holds about a fetch a partition, and a fetch little more than one of the producer's batches. The defaults
        // are 100,000 records a partition, 64 MiB, 50 MiB a fetch, and a second of backoff when the queue is full.
        ("queued.min.messages", "1000"),
        ("queued.max.messages.kbytes", "16384"),
        ("fetch.max.bytes", "1048576"),
        ("max.partition.fetch.bytes", "65536"),
        ("fetch.queue.backoff.ms", "20"),
    ];
    match group.group_protocol {
        // Under this protocol the session's length is the brokers' to say; setting it here is refused.
        GroupProtocol::Consumer => role.push(("group.protocol", "consumer")),
        GroupProtocol::Classic => role.extend([
            ("partition.assignment.strategy", "cooperative-sticky"),
            ("session.timeout.ms", "6000"),
            ("heartbeat.interval.ms", "1000"),
        ]),
    }
    let context = GroupContext { assignment, drain: group.drain };
    let consumer: GroupConsumer =
        kafka.client(&role).create_with_context(context).context("the Kafka settings are not usable")?;
    consumer.subscribe(&[topic]).context("the topic can't be subscribed to")?;
    Ok(consumer)
}
