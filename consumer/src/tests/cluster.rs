//! The cluster of the property tests: topic, table, dead letters, offsets and assignment, in memory.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
};

use chrono::DateTime;
use shared::database::SqlError;
use tokio_util::sync::CancellationToken;

use crate::{
    dlq::{
        letter::{DeadLetterOutcome, Rejected},
        topic::DeadLetterSink,
    },
    model::{OrderRow, StoredOrder},
    pipeline::commit::OffsetStore,
    retry_scope::{Cancelled, RetryScope},
    sink::bisect::{InsertOutcome, OrderSink, Probe},
    source::assignment::Assignment,
};

pub const PARTITIONS: usize = 3;

/// The records that a producer may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Good,
    /// The same order as an earlier one.
    Repeat,
    /// Another order with the id of an earlier one.
    Conflicting,
    /// Can't become a row.
    Broken,
    /// The table refuses it.
    Refused,
}

/// What may happen during an insert.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    LostBeforeCommit,
    LostAfterCommit,
    TooLong,
    /// The partition is revoked during the insert.
    Revoked(usize),
    /// The partition is revoked, and the outcome of the insert is not known.
    RevokedAndLost(usize),
    ForceStop,
}

#[derive(Clone, Debug)]
pub struct Produced {
    pub id: String,
    pub kind: Kind,
    /// Records with one id and one content are the same order.
    pub content: i32,
}

#[derive(Default)]
pub struct Cluster {
    pub log: [Vec<Produced>; PARTITIONS],
    /// The content of each stored order, by id.
    pub table: HashMap<String, i32>,
    /// Id and content of each dead letter.
    pub dead_letters: HashSet<(String, i32)>,
    pub assignment: Arc<Assignment>,
    /// The offsets stored in librdkafka: none after an assignment until the first is stored.
    pub stored: [Option<i64>; PARTITIONS],
    pub committed: [i64; PARTITIONS],
    pub position: [i64; PARTITIONS],
    /// How often each partition was assigned.
    pub assignments: [i32; PARTITIONS],
}

impl Cluster {
    pub fn revoke(&mut self, partition: usize) {
        self.assignment.revoke(&[partition as i32]);
        self.stored[partition] = None;
    }

    /// A partition that is assigned already stays as it is.
    pub fn assign(&mut self, partition: usize) {
        if self.assignment.handle(partition as i32).is_none() {
            self.assignment.assign([partition as i32]);
            self.assignments[partition] += 1;
            self.position[partition] = self.committed[partition];
        }
    }

    /// The id of an order begins with the outcome that it must have, such as `good-7`.
    pub fn produce(&mut self, partition: usize, kind: Kind) {
        let number = self.log.iter().map(Vec::len).sum::<usize>();
        let earlier = self.log.iter().flatten().rev().find(|record| record.kind == Kind::Good).cloned();
        let content = number as i32;
        let record = match (kind, earlier) {
            (Kind::Repeat, Some(earlier)) => Produced { kind, ..earlier },
            (Kind::Conflicting, Some(earlier)) => Produced { kind, content, ..earlier },
            (Kind::Good | Kind::Repeat | Kind::Conflicting, _) => {
                Produced { id: format!("good-{number}"), kind: Kind::Good, content }
            }
            (Kind::Broken, _) => Produced { id: format!("broken-{number}"), kind, content },
            (Kind::Refused, _) => Produced { id: format!("refused-{number}"), kind, content },
        };
        self.log[partition].push(record);
    }

    pub fn commit(&mut self) {
        for (committed, stored) in self.committed.iter_mut().zip(&self.stored) {
            *committed = stored.unwrap_or(*committed);
        }
    }

    /// Whether the record is stored or a dead letter, as its kind requires. A dead letter of a valid order requires that
    /// another one with its id is stored.
    pub fn is_processed(&self, record: &Produced) -> bool {
        let stored = self.table.get(&record.id);
        let dead_lettered = || self.dead_letters.contains(&(record.id.clone(), record.content));
        match record.kind {
            Kind::Broken | Kind::Refused => stored.is_none() && dead_lettered(),
            Kind::Good | Kind::Repeat | Kind::Conflicting => {
                stored.is_some_and(|content| *content == record.content || dead_lettered())
            }
        }
    }

    /// Whether each id whose records are all in one partition is stored with the content of the first of them.
    pub fn first_records_are_stored(&self) -> bool {
        let mut partitions: HashMap<&str, HashSet<usize>> = HashMap::new();
        for (partition, log) in self.log.iter().enumerate() {
            for record in log {
                partitions.entry(&record.id).or_default().insert(partition);
            }
        }
        let content_of_first = |id: &str| self.log.iter().flatten().find(|record| record.id == id).unwrap().content;
        self.table.iter().all(|(id, content)| partitions[id.as_str()].len() > 1 || *content == content_of_first(id))
    }
}

#[derive(Clone, Default)]
pub struct SharedCluster(Arc<Mutex<Cluster>>);

impl SharedCluster {
    pub fn lock(&self) -> MutexGuard<'_, Cluster> {
        self.0.lock().unwrap()
    }
}

impl DeadLetterSink for SharedCluster {
    fn observe(&self, _: usize) {}

    async fn send(
        &self,
        rejected: &[Rejected<'_>],
        _: &mut RetryScope<'_>,
    ) -> Result<Vec<DeadLetterOutcome>, Cancelled> {
        let outcomes = rejected.iter().map(|Rejected { in_flight, .. }| {
            if in_flight.partition.is_revoked() {
                return DeadLetterOutcome::HandedBack;
            }
            let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
            let letter = (text(in_flight.record.key()), text(in_flight.record.value()).parse().unwrap());
            self.lock().dead_letters.insert(letter);
            DeadLetterOutcome::Acknowledged
        });
        Ok(outcomes.collect())
    }
}

impl OffsetStore for SharedCluster {
    fn store(&self, offsets: &[(i32, i64)]) {
        let mut cluster = self.lock();
        for (partition, offset) in offsets {
            let at = *partition as usize;
            assert!(cluster.assignment.handle(*partition).is_some(), "an offset of a revoked partition");
            assert!(cluster.stored[at].is_none_or(|before| before < *offset), "an offset that goes back");
            let undone = cluster.log[at][..*offset as usize].iter().find(|record| !cluster.is_processed(record));
            assert!(undone.is_none(), "an offset is stored beyond {undone:?}");
            cluster.stored[at] = Some(*offset);
        }
    }
}

pub struct FaultyTable {
    pub cluster: SharedCluster,
    pub faults: VecDeque<Fault>,
    pub force_stop: CancellationToken,
}

impl FaultyTable {
    fn store(&self, rows: &[&OrderRow]) -> InsertOutcome {
        for row in rows {
            let (partition, assignment) = row.user.region.split_once(':').unwrap();
            let (partition, assignment): (i32, i32) = (partition.parse().unwrap(), assignment.parse().unwrap());
            let cluster = self.cluster.lock();
            let is_assigned =
                cluster.assignment.handle(partition).is_some() && cluster.assignments[partition as usize] == assignment;
            assert!(is_assigned, "a statement with a row of partition {partition}, which is revoked");
        }
        let orders: HashMap<&str, i32> =
            rows.iter().map(|row| (row.order.order_id.as_str(), row.order.event.shipping_cost)).collect();
        assert_eq!(orders.len(), rows.len(), "a statement with one id twice");
        if orders.keys().any(|id| id.starts_with("refused")) {
            return InsertOutcome::Refused(SqlError::Timeout(std::time::Duration::ZERO));
        }
        let mut inserted = 0;
        for (id, content) in orders {
            self.cluster.lock().table.entry(id.to_owned()).or_insert_with(|| {
                inserted += 1;
                content
            });
        }
        InsertOutcome::Inserted(inserted)
    }
}

impl OrderSink for FaultyTable {
    async fn insert(&mut self, rows: &[&OrderRow], scope: &mut RetryScope<'_>) -> Result<InsertOutcome, Cancelled> {
        scope.check()?;
        match self.faults.pop_front() {
            None => Ok(self.store(rows)),
            Some(Fault::TooLong) if rows.len() > 1 => Ok(InsertOutcome::TooLong),
            Some(Fault::LostBeforeCommit | Fault::TooLong) => Ok(InsertOutcome::Unknown),
            Some(Fault::LostAfterCommit) => {
                self.store(rows);
                Ok(InsertOutcome::Unknown)
            }
            Some(Fault::Revoked(partition)) => {
                let outcome = self.store(rows);
                self.cluster.lock().revoke(partition);
                Ok(outcome)
            }
            Some(Fault::RevokedAndLost(partition)) => {
                self.cluster.lock().revoke(partition);
                Ok(InsertOutcome::Unknown)
            }
            Some(Fault::ForceStop) => {
                self.store(rows);
                self.force_stop.cancel();
                Err(Cancelled)
            }
        }
    }

    async fn stored(
        &mut self,
        rows: &[&OrderRow],
        scope: &mut RetryScope<'_>,
    ) -> Result<HashMap<String, StoredOrder>, Cancelled> {
        scope.check()?;
        let cluster = self.cluster.lock();
        let stored = rows.iter().filter_map(|row| {
            let content = cluster.table.get(&row.order.order_id)?;
            Some((row.order.order_id.clone(), stored_order(row, *content)))
        });
        Ok(stored.collect())
    }

    async fn changed_fields(
        &mut self,
        rows: &[&OrderRow],
        scope: &mut RetryScope<'_>,
    ) -> Result<HashMap<String, Vec<&'static str>>, Cancelled> {
        scope.check()?;
        Ok(rows.iter().map(|row| (row.order.order_id.clone(), Vec::new())).collect())
    }

    async fn probe(&mut self, _: &mut RetryScope<'_>) -> Result<Probe, Cancelled> {
        Ok(Probe::Inconclusive)
    }
}

/// A stored order that differs from `row` only in its content.
pub fn stored_order(row: &OrderRow, content: i32) -> StoredOrder {
    let event = &row.order.event;
    StoredOrder {
        user_id: event.user_id.to_string(),
        product_id: event.product_id.to_string(),
        quantity: event.quantity,
        total_amount: event.total_amount,
        shipping_cost: content,
        discount_amount: event.discount_amount,
        payment_method: event.payment_method.as_str().to_owned(),
        status: event.status.as_str().to_owned(),
        created_at: Some(DateTime::UNIX_EPOCH),
    }
}
