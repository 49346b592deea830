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

/// Delay before a static member joins again while its name belongs to another member.
const REJOIN_DELAY: Duration = Duration::from_secs(2);
/// Timeout of the request that lists the members of the group.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// Timeout of leaving the group as a static member.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);
/// The member id of a static member is its name, a hyphen and a UUID of this length.
const UUID_CHARS: usize = 36;

/// This instance's membership of the group. A client that fails with a fatal error is replaced: the partitions of the
/// old client are revoked, and its later rebalance events do not change the assignment of the new one.
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
    /// Subscribes to the topic as a member of the group. The group assigns partitions later.
    ///
    /// # Errors
    /// When a setting is wrong.
    pub fn join(
        kafka: KafkaSettings,
        settings: GroupSettings,
        topic: String,
        health: Arc<ConsumerHealth>,
    ) -> anyhow::Result<Self> {
        // With KIP-848, librdkafka reports each leaving static member as temporarily absent.
        ensure!(
            !settings.leave || settings.group_protocol != GroupProtocol::Consumer,
            "--leave requires the classic protocol: use --group-protocol classic or auto"
        );
        let member = RwLock::new(Arc::new(Member::subscribe(&kafka, &settings, &topic)?));
        let (closing, was_replaced) = (Mutex::default(), AtomicBool::new(false));
        Ok(Self { kafka, settings, topic, health, member, closing, was_replaced })
    }

    /// The topic that the group reads.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The client that is the member now: a fatal error replaces it.
    pub fn member(&self) -> Arc<Member> {
        self.member.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the client if it failed with a fatal error. Returns whether it did.
    ///
    /// # Errors
    /// When another client would fail with the same error.
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
                    "consumer group: --instance-id {name} belongs to another member, or to a killed one until its \
                     session timeout; joining again every {REJOIN_DELAY:?}"
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
                ensure!(!again, "Kafka: the client failed with a fatal error again: {reason} ({code})");
                tracing::warn!("Kafka: the client failed with a fatal error and is replaced: {reason} ({code})");
            }
        }
        Ok(())
    }

    /// Resolves the issue that the group has not accepted this instance.
    pub fn resolve_join_issue(&self) {
        self.health.resolve(ConsumerIssue::Group);
    }

    /// Leaves the group and closes all clients. Blocks; without a broker, for up to the session timeout.
    pub fn leave(self: Arc<Self>) {
        self.leave_as_static_member();
        let (member, closing) = (self.member(), std::mem::take(&mut *self.closing()));
        drop(self);
        close(member);
        for thread in closing {
            // An error here is a panic of the thread, after which there is nothing left to close.
            let _ = thread.join();
        }
    }

    /// When a static member is closed, its partitions stay assigned to it. Unsubscribing releases them; librdkafka does
    /// not wait until that is done.
    fn leave_as_static_member(&self) {
        let consumer = &self.member().consumer;
        let Some(name) = self.settings.instance_id.as_deref().filter(|_| self.settings.leave) else { return };
        consumer.unsubscribe();
        let deadline = Instant::now() + LEAVE_TIMEOUT;
        while Instant::now() < deadline {
            consumer.poll(Duration::from_millis(50));
            if has_left(consumer, &self.settings.group, name) {
                tracing::info!("consumer group: static member {name} left");
                return;
            }
        }
        tracing::warn!(
            "consumer group: not left within {LEAVE_TIMEOUT:?}; the membership ends with the session timeout"
        );
    }
}

/// Closes a client once no other thread uses it. That may take as long as the session timeout. Closing must end before
/// the process exits: at exit, C libraries free memory that the client's threads still use.
fn close(member: Arc<Member>) {
    while Arc::strong_count(&member) > 1 {
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(member);
}

/// Whether the group has no static member of this name.
fn has_left(consumer: &GroupConsumer, group: &str, name: &str) -> bool {
    consumer.fetch_group_list(Some(group), REQUEST_TIMEOUT).is_ok_and(|list| {
        let mut members = list.groups().iter().flat_map(GroupInfo::members);
        !members.any(|member| {
            let suffix = member.id().strip_prefix(name);
            suffix.is_some_and(|suffix| suffix.len() == UUID_CHARS + 1 && suffix.starts_with('-'))
        })
    })
}
