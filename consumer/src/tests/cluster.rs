//! The cluster of the property tests: topic, table, dead letters, offsets and assignment, in memory.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
};

use shared::database::SqlError;
use tokio_util::sync::CancellationToken;

use crate::{
    dlq::topic::DeadLetterSink,
    model::{KafkaRecord, OrderRow, RejectReason},
    pipeline::commit::OffsetStore,
    retry_scope::{Cancelled, RetryScope},
    sink::bisect::{InsertOutcome, OrderSink},
    source::assignment::Assignment,
};

pub const PARTITIONS: usize = 3;

/// The records that a producer may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Good,
    /// The same order as an earlier one.
    Repeat,
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
}

#[derive(Default)]
pub struct Cluster {
    pub log: [Vec<Produced>; PARTITIONS],
    pub table: HashSet<String>,
    pub dead_letters: HashMap<String, usize>,
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
        let record = match (kind, earlier) {
            (Kind::Repeat, Some(earlier)) => Produced { id: earlier.id, kind },
            (Kind::Good | Kind::Repeat, _) => Produced { id: format!("good-{number}"), kind: Kind::Good },
            (Kind::Broken, _) => Produced { id: format!("broken-{number}"), kind },
            (Kind::Refused, _) => Produced { id: format!("refused-{number}"), kind },
        };
        self.log[partition].push(record);
    }

    pub fn commit(&mut self) {
        for (committed, stored) in self.committed.iter_mut().zip(&self.stored) {
            *committed = stored.unwrap_or(*committed);
        }
    }

    pub fn is_processed(&self, record: &Produced) -> bool {
        match record.kind {
            Kind::Good | Kind::Repeat => self.table.contains(&record.id),
            Kind::Broken | Kind::Refused => self.dead_letters.contains_key(&record.id),
        }
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

    async fn send(&self, record: &KafkaRecord, _: &RejectReason, _: &mut RetryScope<'_>) -> Result<(), Cancelled> {
        let id = String::from_utf8(record.key().unwrap().to_vec()).unwrap();
        *self.lock().dead_letters.entry(id).or_default() += 1;
        Ok(())
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
        for event in rows.iter().map(|row| &row.order.event) {
            let (partition, assignment) = (event.quantity, event.total_amount);
            let cluster = self.cluster.lock();
            let is_assigned =
                cluster.assignment.handle(partition).is_some() && cluster.assignments[partition as usize] == assignment;
            assert!(is_assigned, "a statement with a row of partition {partition}, which is revoked");
        }
        let ids = || rows.iter().map(|row| row.order.order_id.clone());
        if ids().any(|id| id.starts_with("refused")) {
            return InsertOutcome::Refused(SqlError::Timeout(std::time::Duration::ZERO));
        }
        InsertOutcome::Inserted(ids().filter(|id| self.cluster.lock().table.insert(id.clone())).count() as u64)
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
}
