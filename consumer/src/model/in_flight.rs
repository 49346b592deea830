use std::{sync::Arc, time::SystemTime};

use tokio::sync::OwnedSemaphorePermit;

use super::{partition::PartitionHandle, record::KafkaRecord};

/// A record between the reader and its offset commit. Dropping it releases its part of the queue's memory.
pub struct InFlightRecord {
    /// The assignment that the record was read under.
    pub partition: Arc<PartitionHandle>,
    pub record: KafkaRecord,
    pub read_at: SystemTime,
    /// The bytes of the queue that the record uses.
    pub memory: OwnedSemaphorePermit,
}
