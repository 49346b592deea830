//! Defects of the pipeline, as wrappers of its traits. The invariants must reveal each of them.

use std::collections::HashMap;

use super::cluster::{FaultyTable, SharedCluster, stored_order};
use crate::{
    dlq::{
        letter::{DeadLetterOutcome, Rejected},
        topic::DeadLetterSink,
    },
    model::{OrderRow, StoredOrder},
    pipeline::commit::{OffsetStore, PreparedRecord},
    retry_scope::{Cancelled, RetryScope},
    sink::bisect::{InsertOutcome, OrderSink, Probe},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The offsets of a batch are stored before its rows are inserted.
    OffsetsStoredFirst,
    /// A row of a batch is not inserted, but counted.
    RowLeftOut,
    DeadLetterDropped,
    /// An order with the id of a stored one, and other content, counts as its duplicate.
    ConflictIgnored,
}

impl Mutant {
    pub const ALL: [Self; 4] =
        [Self::OffsetsStoredFirst, Self::RowLeftOut, Self::DeadLetterDropped, Self::ConflictIgnored];
}

pub struct MutantDeadLetters {
    pub cluster: SharedCluster,
    pub mutant: Option<Mutant>,
}

impl DeadLetterSink for MutantDeadLetters {
    fn observe(&self, records: usize) {
        self.cluster.observe(records);
    }

    async fn send(
        &self,
        rejected: &[Rejected<'_>],
        scope: &mut RetryScope<'_>,
    ) -> Result<Vec<DeadLetterOutcome>, Cancelled> {
        let dropped = usize::from(self.mutant == Some(Mutant::DeadLetterDropped));
        let mut outcomes = self.cluster.send(&rejected[..rejected.len() - dropped], scope).await?;
        outcomes.resize(rejected.len(), DeadLetterOutcome::Acknowledged);
        Ok(outcomes)
    }
}

pub struct MutantOffsets {
    pub cluster: SharedCluster,
    pub mutant: Option<Mutant>,
}

impl OffsetStore for MutantOffsets {
    fn store(&self, offsets: &[(i32, i64)]) {
        // The offsets of this mutant are stored by its table, before the insert.
        if self.mutant != Some(Mutant::OffsetsStoredFirst) {
            self.cluster.store(offsets);
        }
    }
}

pub struct MutantTable {
    table: FaultyTable,
    mutant: Option<Mutant>,
    /// The offsets of the batch, until they are stored.
    offsets: Vec<(i32, i64)>,
}

impl MutantTable {
    /// A table for one batch.
    pub fn new(table: FaultyTable, mutant: Option<Mutant>, batch: &[PreparedRecord]) -> Self {
        let mut offsets: HashMap<i32, i64> = HashMap::new();
        for position in batch.iter().map(|record| record.in_flight.record.position) {
            let next = offsets.entry(position.partition).or_default();
            *next = position.offset.max(*next - 1) + 1;
        }
        Self { table, mutant, offsets: offsets.into_iter().collect() }
    }
}

impl OrderSink for MutantTable {
    async fn insert(&mut self, rows: &[&OrderRow], scope: &mut RetryScope<'_>) -> Result<InsertOutcome, Cancelled> {
        match self.mutant {
            Some(Mutant::OffsetsStoredFirst) => {
                self.table.cluster.store(&std::mem::take(&mut self.offsets));
                self.table.insert(rows, scope).await
            }
            Some(Mutant::RowLeftOut) if rows.len() > 1 => {
                let outcome = self.table.insert(&rows[1..], scope).await?;
                Ok(match outcome {
                    InsertOutcome::Inserted(inserted) => InsertOutcome::Inserted(inserted + 1),
                    other => other,
                })
            }
            _ => self.table.insert(rows, scope).await,
        }
    }

    async fn stored(
        &mut self,
        rows: &[&OrderRow],
        scope: &mut RetryScope<'_>,
    ) -> Result<HashMap<String, StoredOrder>, Cancelled> {
        let stored = self.table.stored(rows, scope).await?;
        if self.mutant != Some(Mutant::ConflictIgnored) {
            return Ok(stored);
        }
        let same_content = |row: &&OrderRow| stored_order(row, row.order.event.shipping_cost);
        Ok(rows.iter().map(|row| (row.order.order_id.clone(), same_content(row))).collect())
    }

    async fn changed_fields(
        &mut self,
        rows: &[&OrderRow],
        scope: &mut RetryScope<'_>,
    ) -> Result<HashMap<String, Vec<&'static str>>, Cancelled> {
        self.table.changed_fields(rows, scope).await
    }

    async fn probe(&mut self, scope: &mut RetryScope<'_>) -> Result<Probe, Cancelled> {
        self.table.probe(scope).await
    }
}
