//! Stores offsets in librdkafka, which commits them every second (see [`client`](super::client)); a revoke and a stop
//! commit them at once (see [`offset_commit`](super::offset_commit)).

use std::sync::Arc;

use rdkafka::{Offset, TopicPartitionList, consumer::Consumer};

use super::group::Group;
use crate::pipeline::commit::OffsetStore;

impl OffsetStore for Arc<Group> {
    fn store(&self, offsets: &[(i32, i64)]) {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            if let Err(error) = list.add_partition_offset(self.topic(), *partition, Offset::Offset(*offset)) {
                tracing::warn!(%error, partition, offset, "Kafka: an offset can't be stored");
            }
        }
        // Refused when the partition is revoked at this moment: its next owner reads the records again and counts them
        // as duplicates.
        if let Err(error) = self.member().consumer().store_offsets(&list) {
            tracing::debug!(%error, "Kafka: offsets not stored, a partition was revoked");
        }
    }
}
