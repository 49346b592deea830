//! The orders that the client has, by partition.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

#[derive(Debug, Default)]
struct PartitionOrders {
    /// Passed to the client, without a delivery report yet.
    in_client: AtomicU32,
    /// Whether the partition has acknowledged an order.
    has_acknowledged: AtomicBool,
}

/// What the sending thread passes to the client, and what its delivery reports tell, by partition.
#[derive(Clone, Debug)]
pub struct ClientOrders(Arc<[PartitionOrders]>);

impl ClientOrders {
    pub fn new(partitions: usize) -> Self {
        Self((0..partitions).map(|_| PartitionOrders::default()).collect())
    }

    pub fn partitions(&self) -> usize {
        self.0.len()
    }

    /// An order of this partition was passed to the client.
    pub fn sent(&self, partition: usize) {
        self.0[partition].in_client.fetch_add(1, Ordering::Relaxed);
    }

    /// The client has reported the result of an order of this partition. Ignored for a partition that is not known.
    pub fn completed(&self, partition: i32, is_acknowledged: bool) {
        let Some(orders) = usize::try_from(partition).ok().and_then(|partition| self.0.get(partition)) else { return };
        orders.in_client.fetch_sub(1, Ordering::Relaxed);
        if is_acknowledged {
            orders.has_acknowledged.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the client has an order of this partition.
    pub fn any(&self, partition: usize) -> bool {
        self.0[partition].in_client.load(Ordering::Relaxed) > 0
    }

    /// Whether the partition has acknowledged an order.
    pub fn has_acknowledged(&self, partition: usize) -> bool {
        self.0[partition].has_acknowledged.load(Ordering::Relaxed)
    }
}
