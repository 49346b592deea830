//! Membership of the group: joining, replacing a client that failed, and leaving.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{bail, ensure};
use rdkafka::{consumer::Consumer, error::RDKafkaErrorCode, groups::GroupInfo};
use shared::kafka::KafkaSettings;

use super::client::{GroupConsumer, Member};
use crate::{
    health::{ConsumerHealth, ConsumerIssue},
    settings::{GroupProtocol, GroupSettings},
};

/// The delay before a static member whose name is still taken joins again.
const REJOIN_DELAY: Duration = Duration::from_secs(2);
/// How long the brokers may take to list the members of the group.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a static member may take to leave the group.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);
/// The brokers make the member id of a static member from its name, a hyphen and a UUID of this length.
const UUID_CHARS: usize = 36;

/// This instance's membership of the group. A client that ended with a fatal error is replaced: the partitions of the
/// old one are revoked, and its later rebalance events do not touch the assignment of the new one.
pub struct Group {
    kafka: KafkaSettings,
    settings: GroupSettings,
    topic: String,
    health: Arc<ConsumerHealth>,
    member: RwLock<Arc<Member>>,
    /// The threads that close replaced clients.
    closing: Mutex<Vec<JoinHandle<()>>>,
    /// Whether a client was replaced because of an error that may be permanent.
    was_replaced: AtomicBool,
}

impl Group {
    /// Joins the group.
    ///
    /// # Errors
    /// When a setting is wrong.
    pub fn join(
        kafka: KafkaSettings,
        settings: GroupSettings,
        topic: String,
        health: Arc<ConsumerHealth>,
    ) -> anyhow::Result<Self> {
        // Under the other protocol librdkafka announces each leaving static member as temporarily absent.
        ensure!(
            !settings.leave || settings.group_protocol != GroupProtocol::Consumer,
            "--leave does not go with --group-protocol consumer: use classic or auto"
        );
        let member = RwLock::new(Arc::new(Member::subscribe(&kafka, &settings, &topic)?));
        let (closing, was_replaced) = (Mutex::default(), AtomicBool::new(false));
        Ok(Self { kafka, settings, topic, health, member, closing, was_replaced })
    }

    /// The topic that the group reads.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The current member.
    pub fn member(&self) -> Arc<Member> {
        self.member.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the client if it ended with a fatal error. Returns whether it did.
    ///
    /// # Errors
    /// When another client would end with the same error.
    pub fn replace_if_fatal(&self) -> anyhow::Result<bool> {
        let old = self.member();
        let Some((code, reason)) = old.consumer.client().fatal_error() else { return Ok(false) };
        old.assignment.revoke(&old.assignment.partitions());
        self.check_replaceable(code, &reason)?;
        let new = Member::subscribe(&self.kafka, &self.settings, &self.topic)?;
        *self.member.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        self.closing().push(std::thread::spawn(move || close(old)));
        Ok(true)
    }

    fn closing(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.closing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns once another client may join, after a delay where one is needed.
    fn check_replaceable(&self, code: RDKafkaErrorCode, reason: &str) -> anyhow::Result<()> {
        use RDKafkaErrorCode::{FencedInstanceId, UnreleasedInstanceId, UnsupportedFeature, UnsupportedVersion};
        let name = self.settings.instance_id.as_deref().unwrap_or_default();
        match code {
            FencedInstanceId => bail!("another instance joined the group as --instance-id {name}: each needs its own"),
            UnreleasedInstanceId => {
                let message = format!(
                    "the group has another member as --instance-id {name}, or one that was killed and whose session \
                     lasts: waiting until it is gone"
                );
                self.health.report(ConsumerIssue::Group, message);
                std::thread::sleep(REJOIN_DELAY);
            }
            UnsupportedFeature | UnsupportedVersion if self.settings.group_protocol == GroupProtocol::Consumer => {
                bail!(
                    "the brokers don't have the consumer group protocol ({reason}): use \
                     --group-protocol classic or auto"
                )
            }
            _ => {
                let again = self.was_replaced.swap(true, Ordering::Relaxed);
                ensure!(!again, "the Kafka client ended with a fatal error again: {reason} ({code})");
                tracing::warn!("the Kafka client ended with a fatal error and is replaced: {reason} ({code})");
            }
        }
        Ok(())
    }

    /// Resolves the issue that the group has not accepted this instance.
    pub fn resolve_join_issue(&self) {
        self.health.resolve(ConsumerIssue::Group);
    }

    /// Leaves the group and closes all clients. Blocks, for as long as the session lasts when no broker answers.
    pub fn leave(self: Arc<Self>) {
        self.leave_as_static_member();
        let (member, closing) = (self.member(), std::mem::take(&mut *self.closing()));
        drop(self);
        close(member);
        for thread in closing {
            // A thread that panicked has closed all that it could.
            let _ = thread.join();
        }
    }

    /// On closing, a static member keeps its partitions in the group. It gives them up by unsubscribing; the library
    /// does not wait for the end of that by itself.
    fn leave_as_static_member(&self) {
        let consumer = &self.member().consumer;
        let Some(name) = self.settings.instance_id.as_deref().filter(|_| self.settings.leave) else { return };
        consumer.unsubscribe();
        let deadline = Instant::now() + LEAVE_TIMEOUT;
        while Instant::now() < deadline {
            consumer.poll(Duration::from_millis(50));
            if has_left(consumer, &self.settings.group, name) {
                tracing::info!("left the group for good");
                return;
            }
        }
        tracing::warn!("the group was not left in time: its session timeout ends the membership");
    }
}

/// Closes a client once no other thread uses it. That may take as long as the session lasts; it must end before the
/// process does, since the client's threads would not survive the process' clean-up.
fn close(member: Arc<Member>) {
    while Arc::strong_count(&member) > 1 {
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(member);
}

/// Whether the group has no static member of this name any more.
fn has_left(consumer: &GroupConsumer, group: &str, name: &str) -> bool {
    consumer.fetch_group_list(Some(group), REQUEST_TIMEOUT).is_ok_and(|list| {
        let mut members = list.groups().iter().flat_map(GroupInfo::members);
        !members.any(|member| {
            let suffix = member.id().strip_prefix(name);
            suffix.is_some_and(|suffix| suffix.len() == UUID_CHARS + 1 && suffix.starts_with('-'))
        })
    })
}
