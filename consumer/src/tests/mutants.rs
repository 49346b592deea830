//! Defects of the pipeline, as wrappers of its traits. The invariants must reveal each of them.

use std::collections::HashMap;

use shared::wire::ReceivedChange;

use super::{
    cluster::SharedCluster,
    table::{FaultyTable, stored_order},
};
use crate::{
    dlq::{
        letter::{DeadLetterOutcome, Rejected},
        topic::DeadLetterSink,
    },
    model::{OrderRow, StoredOrder},
    pipeline::{commit::OffsetStore, prepared::PreparedRecord},
    retry_scope::{Cancelled, RetryScope},
    sink::{
        changes::classify::Verdict,
        order_sink::{Attempt, BatchChange, BatchRow, OrderSink, Probe, Probed},
    },
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
    /// The history of an order is written, and its status is not.
    UpdateLost,
    /// Two changes of a batch are stored with each other's content.
    ChangesExchanged,
    /// A change of a batch is not stored, but counted.
    ChangeLeftOut,
}

impl Mutant {
    pub const ALL: [Self; 7] = [
        Self::OffsetsStoredFirst,
        Self::RowLeftOut,
        Self::DeadLetterDropped,
        Self::ConflictIgnored,
        Self::UpdateLost,
        Self::ChangesExchanged,
        Self::ChangeLeftOut,
    ];
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

/// Status and sequence of each order, by id.
type Statuses = HashMap<String, (String, i32)>;

impl MutantTable {
    /// The statuses of all orders, for the mutant that loses the updates of them.
    fn statuses(&self) -> Option<Statuses> {
        let orders = &self.table.cluster.lock().tables.orders;
        let statuses = orders.iter().map(|(id, order)| (id.clone(), (order.status.clone(), order.sequence)));
        (self.mutant == Some(Mutant::UpdateLost)).then(|| statuses.collect())
    }

    fn restore(&self, statuses: Option<Statuses>) {
        for (id, (status, sequence)) in statuses.into_iter().flatten() {
            let mut cluster = self.table.cluster.lock();
            let order = cluster.tables.orders.get_mut(&id).unwrap();
            (order.status, order.sequence) = (status, sequence);
        }
    }

    /// The changes with the contents that the mutant gives them.
    fn changed(&self, changes: &[BatchChange<'_>]) -> Vec<ReceivedChange> {
        let mut changed: Vec<ReceivedChange> = changes.iter().map(|change| change.change.clone()).collect();
        if self.mutant == Some(Mutant::ChangesExchanged)
            && let [first, second, ..] = changed.as_mut_slice()
        {
            std::mem::swap(&mut first.event, &mut second.event);
            std::mem::swap(&mut first.event.sequence, &mut second.event.sequence);
        }
        changed
    }

    fn picked<'a>(&self, changes: &[BatchChange<'a>], changed: &'a [ReceivedChange]) -> Vec<BatchChange<'a>> {
        let left_out = usize::from(self.mutant == Some(Mutant::ChangeLeftOut) && changes.len() > 1);
        let picked = changed
            .iter()
            .zip(changes)
            .map(|(change, BatchChange { partition, .. })| BatchChange { change, partition });
        picked.take(changes.len() - left_out).collect()
    }
}

impl OrderSink for MutantTable {
    async fn insert(&mut self, rows: &[&OrderRow], scope: &mut RetryScope<'_>) -> Result<Attempt<u64>, Cancelled> {
        match self.mutant {
            Some(Mutant::OffsetsStoredFirst) => {
                self.table.cluster.store(&std::mem::take(&mut self.offsets));
                self.table.insert(rows, scope).await
            }
            Some(Mutant::RowLeftOut) if rows.len() > 1 => {
                let outcome = self.table.insert(&rows[1..], scope).await?;
                Ok(match outcome {
                    Attempt::Accepted(inserted) => Attempt::Accepted(inserted + 1),
                    other => other,
                })
            }
            _ => self.table.insert(rows, scope).await,
        }
    }

    async fn store_all(
        &mut self,
        rows: &[BatchRow<'_>],
        changes: &[BatchChange<'_>],
        scope: &mut RetryScope<'_>,
    ) -> Result<Option<Vec<Verdict>>, Cancelled> {
        if self.mutant == Some(Mutant::OffsetsStoredFirst) {
            self.table.cluster.store(&std::mem::take(&mut self.offsets));
        }
        let (statuses, changed) = (self.statuses(), self.changed(changes));
        let mut stored = self.table.store_all(rows, &self.picked(changes, &changed), scope).await?;
        if let Some(verdicts) = &mut stored {
            verdicts.resize_with(changes.len(), || Verdict::Stored);
        }
        self.restore(statuses);
        Ok(stored)
    }

    async fn store_changes(
        &mut self,
        changes: &[BatchChange<'_>],
        scope: &mut RetryScope<'_>,
    ) -> Result<Attempt<Vec<Verdict>>, Cancelled> {
        let (statuses, changed) = (self.statuses(), self.changed(changes));
        let mut stored = self.table.store_changes(&self.picked(changes, &changed), scope).await?;
        if let Attempt::Accepted(verdicts) = &mut stored {
            verdicts.resize_with(changes.len(), || Verdict::Stored);
        }
        self.restore(statuses);
        Ok(stored)
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

    async fn probe(&mut self, probed: Probed, scope: &mut RetryScope<'_>) -> Result<Probe, Cancelled> {
        self.table.probe(probed, scope).await
    }
}
