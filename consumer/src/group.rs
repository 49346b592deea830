//! Membership of the group: joining, rebalances, commits.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance},
    error::{KafkaError, RDKafkaErrorCode},
};
use shared::kafka::KafkaSettings;

use crate::{
    assignment::Assignment,
    health::{Health, Obstacle},
    settings::{GroupProtocol, GroupSettings},
    settle::Offsets,
};

/// Time between two tries to be who somebody else still is.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// What the brokers put behind a static member's name, and a hyphen.
const UUID_CHARS: usize = 36;
/// How long it may take to say that this member will not be back.
const LEAVE_FOR_GOOD: Duration = Duration::from_secs(5);

/// Follows the group's rebalances.
pub struct GroupContext {
    assignment: Arc<Assignment>,
    drain: Duration,
}

/// The group's client.
pub type GroupConsumer = BaseConsumer<GroupContext>;

/// Being a member: the client, and what was assigned to it.
pub struct Membership {
    /// The client.
    pub consumer: GroupConsumer,
    /// What it has.
    pub assignment: Arc<Assignment>,
    /// Since when it tries to be a member, or is one.
    pub since: Instant,
}

/// This instance's place in the group. A client that ended with a fatal error is replaced; what the old one had is revoked,
/// and nothing that it says later touches the new one's assignment.
pub struct Group {
    kafka: KafkaSettings,
    settings: GroupSettings,
    topic: String,
    health: Arc<Health>,
    member: RwLock<Arc<Membership>>,
    /// Those who close the clients that were replaced.
    closing: Mutex<Vec<JoinHandle<()>>>,
    /// Whether a client was replaced for a reason that may not pass.
    replaced: AtomicBool,
}

impl Group {
    /// Joins.
    ///
    /// # Errors
    /// When a setting is wrong.
    pub fn join(
        kafka: KafkaSettings,
        settings: GroupSettings,
        topic: String,
        health: Arc<Health>,
    ) -> anyhow::Result<Self> {
        // A static member that leaves for good can do so under the classic protocol alone: under the other one the library
        // only ever says that the member will be back.
        ensure!(
            !settings.leave || settings.group_protocol != GroupProtocol::Consumer,
            "--leave does not go with --group-protocol consumer: use classic or auto"
        );
        let member = RwLock::new(Arc::new(join(&kafka, &settings, &topic)?));
        let (closing, replaced) = (Mutex::default(), AtomicBool::new(false));
        Ok(Self { kafka, settings, topic, health, member, closing, replaced })
    }

    /// The membership of now.
    pub fn member(&self) -> Arc<Membership> {
        self.member.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the client if it ended with a fatal error, and says whether it did.
    ///
    /// # Errors
    /// When another one would fare no better.
    pub fn replace_if_fatal(&self) -> anyhow::Result<bool> {
        let old = self.member();
        let Some((code, reason)) = old.consumer.client().fatal_error() else { return Ok(false) };
        old.assignment.revoke(&old.assignment.partitions());
        self.decide_on_fatal(code, &reason)?;
        let new = join(&self.kafka, &self.settings, &self.topic)?;
        *self.member.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        self.closing().push(std::thread::spawn(move || close(old)));
        Ok(true)
    }

    fn closing(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.closing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns once another client may join.
    fn decide_on_fatal(&self, code: RDKafkaErrorCode, reason: &str) -> anyhow::Result<()> {
        use RDKafkaErrorCode::{FencedInstanceId, UnreleasedInstanceId, UnsupportedFeature, UnsupportedVersion};
        let name = self.settings.instance_id.as_deref().unwrap_or_default();
        match code {
            FencedInstanceId => bail!("another instance joined the group as --instance-id {name}: each needs its own"),
            UnreleasedInstanceId => {
                let what = format!(
                    "an instance that is --instance-id {name} too is in the group, or was killed and is not missed yet: waiting \
                     until it is gone"
                );
                self.health.trouble(Obstacle::Group, what);
                std::thread::sleep(ASK_AGAIN);
            }
            UnsupportedFeature | UnsupportedVersion if self.settings.group_protocol == GroupProtocol::Consumer => {
                bail!(
                    "the brokers don't have the consumer group protocol ({reason}): use --group-protocol classic or auto"
                )
            }
            _ => {
                let again = self.replaced.swap(true, Ordering::Relaxed);
                ensure!(!again, "the Kafka client ended with a fatal error again: {reason} ({code})");
                tracing::warn!("the Kafka client ended with a fatal error, joining once more: {reason} ({code})");
            }
        }
        Ok(())
    }

    /// The group has let this instance in.
    pub fn is_in(&self) {
        self.health.well(Obstacle::Group);
    }

    /// Leaves, and closes the client, once nobody else has it any more, and those before it. Blocks, for as long as the session lasts if no broker
    /// answers.
    pub fn leave(self: Arc<Self>) {
        self.leave_for_good();
        let (member, closing) = (self.member(), std::mem::take(&mut *self.closing()));
        drop(self);
        close(member);
        for closed in closing {
            // One that panicked has closed nothing more.
            let _ = closed.join();
        }
    }

    fn leave_for_good(&self) {
        let consumer = &self.member().consumer;
        let Some(name) = self.settings.instance_id.as_deref().filter(|_| self.settings.leave) else { return };
        // On closing, a static member says nothing, so that it finds its partitions when it is back; and the library closes
        // without waiting for what unsubscribing began.
        consumer.unsubscribe();
        let deadline = Instant::now() + LEAVE_FOR_GOOD;
        while Instant::now() < deadline {
            consumer.poll(Duration::from_millis(50));
            if has_left(consumer, &self.settings.group, name) {
                tracing::info!("left the group for good");
                return;
            }
        }
        tracing::warn!("the group was not left in time; it notices by itself");
    }
}

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

/// Closes a client, which may take as long as its session lasts: not on the thread of whoever still looks at it, and not
/// while the process ends, which its threads would not survive.
fn close(member: Arc<Membership>) {
    while Arc::strong_count(&member) > 1 {
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(member);
}

impl Offsets for Arc<Group> {
    fn store(&self, offsets: &[(i32, i64)]) {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            if let Err(error) = list.add_partition_offset(&self.topic, *partition, Offset::Offset(*offset)) {
                tracing::warn!(%error, "an offset can't be stored");
            }
        }
        // Refused when the partition went away this moment; its next owner then reads the orders again, to no effect.
        if let Err(error) = self.member().consumer.store_offsets(&list) {
            tracing::debug!(%error, "offsets are not stored");
        }
    }
}

/// Whether the brokers have no static member of this name any more; they make its id of it.
fn has_left(consumer: &GroupConsumer, group: &str, name: &str) -> bool {
    consumer.fetch_group_list(Some(group), ASK_AGAIN).is_ok_and(|list| {
        let mut members = list.groups().iter().flat_map(rdkafka::groups::GroupInfo::members);
        !members.any(|member| {
            member.id().strip_prefix(name).is_some_and(|rest| rest.len() == UUID_CHARS + 1 && rest.starts_with('-'))
        })
    })
}

fn join(kafka: &KafkaSettings, group: &GroupSettings, topic: &str) -> anyhow::Result<Membership> {
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
    role.extend(group.instance_id.as_deref().map(|id| ("group.instance.id", id)));
    match group.group_protocol {
        // Under this protocol the brokers set the session timeout; the library refuses one that is set here.
        GroupProtocol::Consumer => role.push(("group.protocol", "consumer")),
        // With librdkafka's client of the other protocol a frozen member beside a killed broker left a partition without an
        // owner for good in 2 of 3 rounds; with this one in 0 of 6.
        GroupProtocol::Auto | GroupProtocol::Classic => role.extend([
            ("partition.assignment.strategy", "cooperative-sticky"),
            ("session.timeout.ms", "6000"),
            ("heartbeat.interval.ms", "1000"),
        ]),
    }
    let assignment = Arc::new(Assignment::default());
    let context = GroupContext { assignment: assignment.clone(), drain: group.drain };
    let consumer: GroupConsumer =
        kafka.member(&role).create_with_context(context).context("the Kafka settings are not usable")?;
    consumer.subscribe(&[topic]).context("the topic can't be subscribed to")?;
    Ok(Membership { consumer, assignment, since: Instant::now() })
}
