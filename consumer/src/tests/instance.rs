//! A consumer instance from its start to its crash: what it has in memory.

use std::{collections::VecDeque, sync::Arc, time::SystemTime};

use chrono::DateTime;
use shared::{
    order::{OrderPlaced, PaymentMethod, PlacedStatus},
    wire::{ReceivedChange, ReceivedOrder},
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{
    cluster::{Kind, Produced, ProducedEvent, SharedCluster},
    mutants::{Mutant, MutantDeadLetters, MutantOffsets, MutantTable},
    table::{Fault, FaultyTable},
};
use crate::{
    model::{InFlightRecord, KafkaRecord, OrderRow, ProductAttributes, RecordPosition, RejectReason, UserAttributes},
    pipeline::{
        commit::BatchCommitter,
        latency::PreparationTimes,
        prepared::{PreparedBatch, PreparedEvent, PreparedRecord},
    },
};

pub const WORKERS: usize = 2;

pub struct Instance {
    pub committer: BatchCommitter<MutantDeadLetters, MutantOffsets>,
    mutant: Option<Mutant>,
    queues: [VecDeque<PreparedRecord>; WORKERS],
    memory: Arc<Semaphore>,
}

impl Instance {
    pub fn start(cluster: &SharedCluster, mutant: Option<Mutant>) -> Self {
        let committer = BatchCommitter {
            dead_letters: MutantDeadLetters { cluster: cluster.clone(), mutant },
            offsets: MutantOffsets { cluster: cluster.clone(), mutant },
            accounting: Arc::default(),
            latency: Arc::default(),
            spans: None,
            force_stop: CancellationToken::new(),
        };
        Self { committer, mutant, queues: Default::default(), memory: Arc::new(Semaphore::new(1_000_000)) }
    }

    pub fn read(&mut self, cluster: &SharedCluster, partition: usize, max_records: usize) {
        let mut cluster = cluster.lock();
        let Some(handle) = cluster.assignment.handle(partition as i32) else { return };
        for _ in 0..max_records {
            let offset = cluster.position[partition];
            let Some(record) = cluster.log[partition].get(offset as usize).cloned() else { return };
            cluster.position[partition] += 1;
            assert!(handle.begin());
            let position = RecordPosition { partition: partition as i32, offset };
            let kafka_record = kafka_record(position, &record);
            self.committer.accounting.consumed(kafka_record.kind);
            let in_flight = InFlightRecord {
                partition: handle.clone(),
                record: kafka_record,
                read_at: SystemTime::now(),
                memory: self.memory.clone().try_acquire_many_owned(1).unwrap(),
            };
            let Produced { id, event } = record;
            let event = match event {
                ProducedEvent::Order { kind: Kind::Broken, .. } => Err(RejectReason::UnknownUser("nobody".to_owned())),
                ProducedEvent::Order { content, .. } => {
                    Ok(PreparedEvent::Order(row(id, content, partition as i32, cluster.assignments[partition])))
                }
                ProducedEvent::Change { event, .. } => {
                    Ok(PreparedEvent::Change(ReceivedChange { order_id: id, event }))
                }
            };
            self.queues[partition % WORKERS].push_back(PreparedRecord { in_flight, event });
        }
    }

    pub async fn commit_batch(
        &mut self,
        cluster: &SharedCluster,
        worker: usize,
        max_records: usize,
        faults: Vec<Fault>,
    ) {
        let queue = &mut self.queues[worker];
        let records = queue.drain(..max_records.min(queue.len())).collect();
        let records: Vec<PreparedRecord> =
            self.committer.drop_revoked(records, |record: &PreparedRecord| &record.in_flight);
        let now = SystemTime::now();
        let times = PreparationTimes { dequeued: now, decoded: now, enriched: now };
        let force_stop = self.committer.force_stop.clone();
        let table = FaultyTable { cluster: cluster.clone(), faults: faults.into(), force_stop };
        let mut table = MutantTable::new(table, self.mutant, &records);
        self.committer.commit_batch(PreparedBatch { records, times }, &mut table).await;
    }

    /// Whether the accounting balances, once no record is in flight.
    pub fn is_balanced(&self) -> bool {
        self.queues.iter().any(|queue| !queue.is_empty()) || self.committer.accounting.is_balanced()
    }
}

fn kafka_record(position: RecordPosition, record: &Produced) -> KafkaRecord {
    let (key, value) = (record.id.as_bytes(), record.value());
    match record.event {
        ProducedEvent::Order { .. } => KafkaRecord::of_order(position, Some(0), Some(key), Some(value.as_bytes())),
        ProducedEvent::Change { .. } => KafkaRecord::of_change(position, Some(0), key, value.as_bytes()),
    }
}

/// The region of the row has its partition and the number of the assignment that it was read under; its shipping cost is
/// its content.
fn row(order_id: String, content: i32, partition: i32, assignment: i32) -> OrderRow {
    let event = OrderPlaced {
        user_id: "U00000001".into(),
        product_id: "P000001".into(),
        quantity: 1,
        total_amount: 0,
        shipping_cost: content,
        discount_amount: 0,
        payment_method: PaymentMethod::Card,
        status: PlacedStatus::Paid,
        created_at: DateTime::UNIX_EPOCH,
    };
    let region = format!("{partition}:{assignment}");
    let user = UserAttributes { gender: "F".to_owned(), age_group: "30대".to_owned(), region };
    OrderRow {
        order: ReceivedOrder { order_id, event },
        user: Arc::new(user),
        product: Arc::new(ProductAttributes { category: "식품".to_owned() }),
    }
}
