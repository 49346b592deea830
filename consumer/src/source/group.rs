//! Membership of the group: joining, replacing a client that failed, and leaving.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{bail, ensure};
use rdkafka::{consumer::Consumer, error::RDKafkaErrorCode, groups::GroupInfo};
use shared::{kafka::KafkaSettings, service_manager::Heartbeat};

use super::client::{GroupConsumer, Member, OpenClients};
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
/// A client that has lived this long was well: a fatal error after that is not the same one again.
const WELL_AFTER: Duration = Duration::from_secs(60);
/// Clients that may be open when another one is created: the member, and one that closes.
const MAX_OPEN_CLIENTS: usize = 2;
/// Timeout of a wait for clients to close. It takes as long as the session timeout.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
/// The member id of a static member is its name, a hyphen and a UUID of this length.
const UUID_CHARS: usize = 36;

/// This instance's membership of the group. A client that fails with a fatal error, or leaves to join anew, is replaced:
/// the partitions of the old client are revoked, and its later rebalance events do not change the assignment of the new
/// one.
pub struct Group {
    kafka: KafkaSettings,
    settings: GroupSettings,
    topic: String,
    health: Arc<ConsumerHealth>,
    heartbeat: Heartbeat,
    member: RwLock<Arc<Member>>,
    open: Arc<OpenClients>,
    /// Whether a client was replaced because of an error that may be permanent.
    was_replaced: AtomicBool,
    /// Set when this instance should leave the group and join it anew.
    must_rejoin: AtomicBool,
}

impl Group {
    /// Subscribes to the topic as a member of the group. The group assigns partitions later. `heartbeat` is that of the
    /// polling thread.
    ///
    /// # Errors
    /// When a setting is wrong.
    pub fn join(
        kafka: KafkaSettings,
        settings: GroupSettings,
        topic: String,
        health: Arc<ConsumerHealth>,
        heartbeat: Heartbeat,
    ) -> anyhow::Result<Self> {
        // With KIP-848, librdkafka reports each leaving static member as temporarily absent.
        ensure!(
            !settings.leave || settings.group_protocol != GroupProtocol::Consumer,
            "--leave requires the classic protocol: use --group-protocol classic or auto"
        );
        let open = Arc::default();
        let member = Member::subscribe(&kafka, &settings, &topic, &open, heartbeat.clone())?;
        let member = RwLock::new(Arc::new(member));
        let (was_replaced, must_rejoin) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Self { kafka, settings, topic, health, heartbeat, member, open, was_replaced, must_rejoin })
    }

    /// The name of the group.
    pub fn name(&self) -> &str {
        &self.settings.group
    }

    /// The topic that the group reads.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The health of the instance.
    pub fn health(&self) -> &ConsumerHealth {
        &self.health
    }

    /// The client that is the member now: it may be replaced.
    pub fn member(&self) -> Arc<Member> {
        self.member.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the client if it failed with a fatal error. Returns whether it did.
    ///
    /// # Errors
    /// When another client would fail with the same error.
    pub fn replace_if_fatal(&self) -> anyhow::Result<bool> {
        let old = self.member();
        let Some((code, reason)) = old.consumer().client().fatal_error() else { return Ok(false) };
        old.assignment.revoke(&old.assignment.partitions());
        self.check_replaceable(code, &reason, old.created_at.elapsed())?;
        drop(old);
        self.replace()?;
        Ok(true)
    }

    /// Asks the polling thread to leave the group and to join it anew.
    pub fn request_rejoin(&self) {
        self.must_rejoin.store(true, Ordering::Relaxed);
    }

    /// Whether the polling thread should leave the group and join it anew. Resets the request.
    pub fn take_rejoin_request(&self) -> bool {
        self.must_rejoin.swap(false, Ordering::Relaxed)
    }

    /// Leaves the group and joins it anew, as another member. The partitions must be drained before.
    ///
    /// # Errors
    /// When a setting is wrong.
    pub fn rejoin(&self) -> anyhow::Result<()> {
        let old = self.member();
        if self.settings.instance_id.is_some() {
            // A static member that is only closed keeps its partitions.
            old.consumer().unsubscribe();
        }
        drop(old);
        self.replace()
    }

    /// How long revoked partitions are drained.
    pub fn drain_timeout(&self) -> Duration {
        self.settings.drain
    }

    /// Puts a new client in the place of the member. The old one is closed once its last holder has dropped it.
    fn replace(&self) -> anyhow::Result<()> {
        // A static member that waits for its name replaces its client again and again: without a limit, clients would
        // pile up when they close slowly.
        self.open.wait_for_at_most(MAX_OPEN_CLIENTS, CLOSE_TIMEOUT);
        let new = Member::subscribe(&self.kafka, &self.settings, &self.topic, &self.open, self.heartbeat.clone())?;
        *self.member.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        Ok(())
    }

    /// Returns once another client may join, after a delay where one is needed. `lived` is the time since the client was
    /// created.
    fn check_replaceable(&self, code: RDKafkaErrorCode, reason: &str, lived: Duration) -> anyhow::Result<()> {
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
                let was_replaced = self.was_replaced.swap(true, Ordering::Relaxed);
                ensure!(
                    may_be_replaced(was_replaced, lived),
                    "Kafka: the client failed with a fatal error again within {WELL_AFTER:?}: {reason} ({code})"
                );
                tracing::warn!("Kafka: the client failed with a fatal error and is replaced: {reason} ({code})");
            }
        }
        Ok(())
    }

    /// Resolves the issue that the group has not accepted this instance.
    pub fn resolve_join_issue(&self) {
        self.health.resolve(ConsumerIssue::Group);
    }

    /// Leaves the group and closes all clients, once no other thread uses them. Blocks; without a broker, for up to the
    /// session timeout.
    pub fn leave(self: Arc<Self>) {
        self.leave_as_static_member();
        let open = self.open.clone();
        drop(self);
        while !open.wait_for_at_most(0, CLOSE_TIMEOUT) {
            tracing::debug!("consumer group: clients are not closed yet");
        }
    }

    /// When a static member is closed, its partitions stay assigned to it. Unsubscribing releases them; librdkafka does
    /// not wait until that is done.
    fn leave_as_static_member(&self) {
        let member = self.member();
        let consumer = member.consumer();
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

/// Whether a client that failed with an error that may be permanent is replaced: the first time, and later if it was well
/// in between.
fn may_be_replaced(was_replaced: bool, lived: Duration) -> bool {
    !was_replaced || lived >= WELL_AFTER
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_was_well_is_replaced_more_than_once() {
        let soon = WELL_AFTER - Duration::from_secs(1);
        assert!(may_be_replaced(false, soon) && may_be_replaced(true, WELL_AFTER));
        assert!(!may_be_replaced(true, soon), "the error is permanent");
    }
}
