//! Handles a rebalance, within the client's `poll`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol},
    topic_partition_list::TopicPartitionListElem,
    types::RDKafkaRespErr,
};
use shared::service_manager::Heartbeat;

use super::{assignment::Assignment, offset_commit::commit_stored_offsets};

/// Time between two beats while partitions are drained.
const DRAIN_SLICE: Duration = Duration::from_millis(100);

/// Keeps the assignment up to date.
pub struct RebalanceContext {
    pub assignment: Arc<Assignment>,
    /// How long a revoked partition is drained.
    pub drain_timeout: Duration,
    /// Beats while partitions are drained: the polling thread waits in `poll` meanwhile.
    pub heartbeat: Heartbeat,
}

impl ClientContext for RebalanceContext {}

impl ConsumerContext for RebalanceContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions = partitions_of(list);
        match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, &partitions),
            _ => self.revoke(consumer, list, &partitions),
        }
    }
}

impl RebalanceContext {
    /// Accepts the partitions. librdkafka gets each of them once its start position is known (see
    /// [`starter`](super::starter)).
    fn assign(&self, consumer: &BaseConsumer<Self>, partitions: &[i32]) {
        let none = TopicPartitionList::new();
        let accepted = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(&none),
            RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.assign(&none),
        };
        if let Err(error) = accepted {
            tracing::warn!(%error, "consumer group: assigned partitions can't be accepted");
        }
        self.assignment.assign(partitions.iter().copied());
        if !partitions.is_empty() {
            let all = self.assignment.partitions().len();
            tracing::info!(?partitions, all, "consumer group: partitions assigned");
        }
    }

    /// Records in flight are stored first, then the offsets are committed, so that the next owner reads no record
    /// twice. A lost partition may already have another owner: its records in flight are dropped.
    fn revoke(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList, partitions: &[i32]) {
        let started = if consumer.assignment_lost() {
            tracing::warn!(?partitions, "consumer group: partitions lost, records in flight are dropped");
            self.assignment.revoke(partitions)
        } else {
            let drained = self.drain(partitions);
            let started = self.assignment.revoke(partitions);
            commit_stored_offsets(consumer);
            tracing::info!(?partitions, drained, "consumer group: partitions revoked");
            started
        };
        let released = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => {
                let mut released = TopicPartitionList::new();
                for place in list.elements().iter().filter(|place| started.contains(&place.partition())) {
                    released.add_partition(place.topic(), place.partition());
                }
                consumer.incremental_unassign(&released)
            }
            RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.unassign(),
        };
        if let Err(error) = released {
            tracing::warn!(%error, "consumer group: revoked partitions can't be released");
        }
    }

    /// Waits until no record of the partitions is in flight. Returns false when that takes too long.
    fn drain(&self, partitions: &[i32]) -> bool {
        let deadline = Instant::now() + self.drain_timeout;
        loop {
            self.heartbeat.beat();
            let slice_end = deadline.min(Instant::now() + DRAIN_SLICE);
            if self.assignment.drain(partitions, slice_end) {
                return true;
            }
            if slice_end == deadline {
                return false;
            }
        }
    }
}

fn partitions_of(list: &TopicPartitionList) -> Vec<i32> {
    list.elements().iter().map(TopicPartitionListElem::partition).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_has_beats_while_partitions_are_drained() {
        let (assignment, heartbeat) = (Arc::new(Assignment::default()), Heartbeat::default());
        let drain_timeout = DRAIN_SLICE * 3;
        let context = RebalanceContext { assignment: assignment.clone(), drain_timeout, heartbeat: heartbeat.clone() };
        assignment.assign([1]);
        let handle = assignment.handle(1).unwrap();
        assert!(handle.begin());
        assert!(!context.drain(&[1]), "its record is in flight");
        assert!(heartbeat.beats() >= 3, "{}", heartbeat.beats());
        handle.end(1);
        assert!(context.drain(&[1]));
    }
}
