//! The Kafka client of a group member, and its configuration.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use rdkafka::consumer::{BaseConsumer, Consumer};
use shared::{kafka::KafkaSettings, service_manager::Heartbeat};

use super::{assignment::Assignment, rebalance::RebalanceContext};
use crate::settings::{GroupProtocol, GroupSettings};

pub type GroupConsumer = BaseConsumer<RebalanceContext>;

/// A client that is a member of the group, or is joining it. When its last holder drops it, it is closed on a thread of
/// its own: that may take as long as the session timeout.
pub struct Member {
    /// None only while the member is dropped.
    consumer: Option<GroupConsumer>,
    pub assignment: Arc<Assignment>,
    pub created_at: Instant,
    open: Arc<OpenClients>,
}

impl Member {
    /// Creates a client that subscribes to the topic. It is counted in `open` until it is closed. `heartbeat` is that of
    /// the polling thread.
    ///
    /// # Errors
    /// When a Kafka setting is wrong.
    pub fn subscribe(
        kafka: &KafkaSettings,
        group: &GroupSettings,
        topic: &str,
        open: &Arc<OpenClients>,
        heartbeat: Heartbeat,
    ) -> anyhow::Result<Self> {
        let assignment = Arc::new(Assignment::default());
        let context = RebalanceContext { assignment: assignment.clone(), drain_timeout: group.drain, heartbeat };
        let consumer: GroupConsumer = kafka
            .member(&client_settings(group))
            .create_with_context(context)
            .context("the Kafka settings are not usable")?;
        consumer.subscribe(&[topic]).context("the topic can't be subscribed to")?;
        open.opened();
        Ok(Self { consumer: Some(consumer), assignment, created_at: Instant::now(), open: open.clone() })
    }

    pub fn consumer(&self) -> &GroupConsumer {
        self.consumer.as_ref().expect("only drop takes the client")
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let (consumer, open) = (self.consumer.take(), self.open.clone());
        std::thread::spawn(move || {
            drop(consumer);
            open.closed();
        });
    }
}

/// Counts the clients that are not closed yet. Closing must end before the process exits: at exit, C libraries free
/// memory that the threads of a client still use.
#[derive(Debug, Default)]
pub struct OpenClients {
    count: Mutex<usize>,
    closed: Condvar,
}

impl OpenClients {
    fn opened(&self) {
        *self.count() += 1;
    }

    fn closed(&self) {
        *self.count() -= 1;
        self.closed.notify_all();
    }

    fn count(&self) -> MutexGuard<'_, usize> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocks until at most `clients` are open, or until `timeout` is over. Returns whether that is so.
    pub fn wait_for_at_most(&self, clients: usize, timeout: Duration) -> bool {
        let waited = self.closed.wait_timeout_while(self.count(), timeout, |count| *count > clients);
        *waited.unwrap_or_else(PoisonError::into_inner).0 <= clients
    }
}

fn client_settings(group: &GroupSettings) -> Vec<(&'static str, &str)> {
    let mut settings = vec![
        ("group.id", group.group.as_str()),
        // Each partition is started at an explicit offset (see `starter`). When the topic does not have an offset,
        // librdkafka reports an error: with `earliest` or `latest` it would skip orders without one.
        ("auto.offset.reset", "error"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_for_closed_clients_ends_with_the_last_close_or_at_its_timeout() {
        let open = Arc::new(OpenClients::default());
        open.opened();
        open.opened();
        assert!(open.wait_for_at_most(2, Duration::ZERO));
        assert!(!open.wait_for_at_most(1, Duration::ZERO));
        let closing = open.clone();
        let thread = std::thread::spawn(move || (0..2).for_each(|_| closing.closed()));
        assert!(open.wait_for_at_most(0, Duration::from_secs(60)));
        thread.join().unwrap();
    }
}
