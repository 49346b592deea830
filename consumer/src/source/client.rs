//! The Kafka client of a group member, and its configuration.

use std::{sync::Arc, time::Instant};

use anyhow::Context;
use rdkafka::consumer::{BaseConsumer, Consumer};
use shared::kafka::KafkaSettings;

use super::{assignment::Assignment, rebalance::RebalanceContext};
use crate::settings::{GroupProtocol, GroupSettings};

pub type GroupConsumer = BaseConsumer<RebalanceContext>;

/// A client that is a member of the group, or is joining it.
pub struct Member {
    pub consumer: GroupConsumer,
    pub assignment: Arc<Assignment>,
    pub created_at: Instant,
}

impl Member {
    /// Creates a client that subscribes to the topic.
    ///
    /// # Errors
    /// When a Kafka setting is wrong.
    pub fn subscribe(kafka: &KafkaSettings, group: &GroupSettings, topic: &str) -> anyhow::Result<Self> {
        let assignment = Arc::new(Assignment::default());
        let context = RebalanceContext { assignment: assignment.clone(), drain_timeout: group.drain };
        let consumer: GroupConsumer = kafka
            .member(&client_settings(group))
            .create_with_context(context)
            .context("the Kafka settings are not usable")?;
        consumer.subscribe(&[topic]).context("the topic can't be subscribed to")?;
        Ok(Self { consumer, assignment, created_at: Instant::now() })
    }
}

fn client_settings(group: &GroupSettings) -> Vec<(&'static str, &str)> {
    let mut settings = vec![
        ("group.id", group.group.as_str()),
        // A group without offsets starts at the beginning. With librdkafka's default, `latest`, it would skip orders.
        ("auto.offset.reset", "earliest"),
        ("enable.auto.commit", "true"),
        ("auto.commit.interval.ms", "1000"),
        ("enable.auto.offset.store", "false"),
        // In librdkafka's queue, a record needs some 500 bytes in addition to its own size. These settings limit the
        // queue to about one fetch per partition, and a fetch to little more than one batch of orderflow's producer.
        // The defaults are 100,000 records per partition, 64 MiB, 50 MiB per fetch, and a backoff of one second when
        // the queue is full.
        ("queued.min.messages", "1000"),
        ("queued.max.messages.kbytes", "16384"),
        ("fetch.max.bytes", "1048576"),
        ("max.partition.fetch.bytes", "65536"),
        ("fetch.queue.backoff.ms", "20"),
    ];
    settings.extend(group.instance_id.as_deref().map(|id| ("group.instance.id", id)));
    match group.group_protocol {
        // With KIP-848 the brokers set the session timeout; librdkafka refuses one that is set here.
        GroupProtocol::Consumer => settings.push(("group.protocol", "consumer")),
        // With KIP-848, librdkafka 2.12 left a partition without an owner in 2 of 3 tests with a paused member beside a
        // killed broker; with the classic protocol in 0 of 6.
        GroupProtocol::Auto | GroupProtocol::Classic => settings.extend([
            ("partition.assignment.strategy", "cooperative-sticky"),
            ("session.timeout.ms", "6000"),
            ("heartbeat.interval.ms", "1000"),
        ]),
    }
    settings
}
