//! The end of the pipeline: stores the orders and changes of a batch, sends the rejected records to the dead-letter
//! topic, and only then stores the offsets (invariant 4).

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use tokio_util::sync::CancellationToken;

use super::{
    accounting::Accounting,
    decode::{change_due, due},
    latency::LatencyRecorder,
    prepared::{PreparedBatch, PreparedRecord},
    spans::{BatchInsert, OrderSpans, ProcessedRecord},
    stored_records::{StoredRecords, store_records},
};
use crate::{
    dlq::{
        letter::{DeadLetterOutcome, Rejected},
        topic::DeadLetterSink,
    },
    model::{InFlightRecord, KafkaRecord, PartitionHandle, RecordKind, RecordPosition, RejectReason},
    retry_scope::{Cancelled, RetryScope},
    sink::order_sink::OrderSink,
};

/// Stores offsets for the next commit of the group.
pub trait OffsetStore: Send + Sync {
    /// Stores, for each `(partition, offset)`, that everything below `offset` is processed.
    fn store(&self, offsets: &[(i32, i64)]);
}

/// Commits batches; shared by all workers.
pub struct BatchCommitter<D, O> {
    pub dead_letters: D,
    pub offsets: O,
    pub accounting: Arc<Accounting>,
    pub latency: Arc<LatencyRecorder>,
    /// `None`: no order is traced.
    pub spans: Option<OrderSpans>,
    /// Cancelled at the deadline of a stop: records that are not stored by then are handed back.
    pub force_stop: CancellationToken,
}

enum RecordOutcome<'a> {
    /// It is in the table.
    Stored,
    DeadLettered(&'a RejectReason),
    /// Its partition was revoked before it was stored or dead-lettered.
    HandedBack,
}

impl<D: DeadLetterSink, O: OffsetStore> BatchCommitter<D, O> {
    /// Hands back the items whose partition is revoked (invariant 9) and returns the others.
    pub fn drop_revoked<T>(&self, batch: Vec<T>, in_flight: impl Fn(&T) -> &InFlightRecord) -> Vec<T> {
        let (kept, revoked): (Vec<T>, Vec<T>) =
            batch.into_iter().partition(|item| !in_flight(item).partition.is_revoked());
        self.hand_back(revoked.iter().map(in_flight));
        kept
    }

    /// Hands back records: ends them without storing their offsets.
    pub fn hand_back<'a>(&self, records: impl IntoIterator<Item = &'a InFlightRecord>) {
        for InFlightRecord { partition, record, .. } in records {
            partition.end(1);
            self.accounting.handed_back(record.kind, 1);
        }
    }

    /// Commits a batch. A cancelled batch is handed back completely, even if some of its rows are in the table.
    pub async fn commit_batch(&self, batch: PreparedBatch, table: &mut impl OrderSink) {
        // After a cancelled batch no later one may be committed: its offset would cover the records of the cancelled
        // one.
        if self.force_stop.is_cancelled() || self.try_commit(&batch, table).await.is_err() {
            self.hand_back(batch.records.iter().map(|record| &record.in_flight));
        }
    }

    async fn try_commit(&self, batch: &PreparedBatch, table: &mut impl OrderSink) -> Result<(), Cancelled> {
        let records = &batch.records;
        let all_revoked = || records.iter().all(|record| record.in_flight.partition.is_revoked());
        let mut inserting = RetryScope::new(&self.force_stop, &all_revoked);
        let began = SystemTime::now();
        // In a box: nested any deeper, the state of this function exceeds a limit of the compiler.
        let stored = Box::pin(store_records(records, table, &mut inserting)).await?;
        inserting.succeed();
        let committed = SystemTime::now();
        let outcomes = self.dead_letter_rejected(records, &stored, &all_revoked).await?;
        // Not counted earlier: a cancelled batch is handed back completely.
        self.count(records, &stored, &outcomes);
        self.record_latency(batch, committed, &outcomes);
        self.export_spans(batch, BatchInsert { began, committed, records: records.len() }, &outcomes);
        self.store_offsets(records);
        Ok(())
    }

    /// Sends the rejected records to the dead-letter topic and returns the outcome of every record.
    async fn dead_letter_rejected<'a>(
        &self,
        records: &'a [PreparedRecord],
        stored: &'a StoredRecords,
        all_revoked: &(dyn Fn() -> bool + Sync),
    ) -> Result<Vec<RecordOutcome<'a>>, Cancelled> {
        self.dead_letters.observe(records.len());
        let (mut outcomes, mut rejected) = (Vec::with_capacity(records.len()), Vec::new());
        for (at, PreparedRecord { in_flight, event }) in records.iter().enumerate() {
            outcomes.push(match event.as_ref().err().or_else(|| stored.rejected.get(&at)) {
                _ if stored.dropped.contains(&at) => RecordOutcome::HandedBack,
                None => RecordOutcome::Stored,
                Some(reason) => {
                    rejected.push((at, Rejected { in_flight, reason }));
                    RecordOutcome::DeadLettered(reason)
                }
            });
        }
        let (indexes, rejected): (Vec<usize>, Vec<Rejected<'_>>) = rejected.into_iter().unzip();
        if rejected.is_empty() {
            return Ok(outcomes);
        }
        let sent = self.dead_letters.send(&rejected, &mut RetryScope::new(&self.force_stop, all_revoked)).await?;
        for (at, _) in indexes.into_iter().zip(sent).filter(|(_, sent)| *sent == DeadLetterOutcome::HandedBack) {
            outcomes[at] = RecordOutcome::HandedBack;
        }
        Ok(outcomes)
    }

    fn count(&self, records: &[PreparedRecord], stored: &StoredRecords, outcomes: &[RecordOutcome<'_>]) {
        self.accounting.stored(RecordKind::Order, stored.orders);
        self.accounting.stored(RecordKind::Change, stored.changes);
        for (record, outcome) in records.iter().zip(outcomes) {
            let kind = record.in_flight.record.kind;
            match outcome {
                RecordOutcome::Stored => {}
                RecordOutcome::DeadLettered(reason) => {
                    log_conflict(record, reason);
                    self.accounting.dead_lettered(kind, reason.kind());
                }
                RecordOutcome::HandedBack => self.accounting.handed_back(kind, 1),
            }
        }
    }

    fn record_latency(&self, batch: &PreparedBatch, committed: SystemTime, outcomes: &[RecordOutcome<'_>]) {
        let stored = || {
            let records = batch.records.iter().zip(outcomes);
            records.filter(|(_, outcome)| matches!(outcome, RecordOutcome::Stored)).map(|(record, _)| record)
        };
        let orders = stored().filter_map(|record| {
            let order_id = &record.row()?.order.order_id;
            Some((due(&record.in_flight.record, order_id)?, record.in_flight.read_at))
        });
        self.latency.record(RecordKind::Order, batch.times, committed, orders);
        let changes = stored().filter_map(|record| {
            Some((change_due(&record.in_flight.record, record.change()?)?, record.in_flight.read_at))
        });
        self.latency.record(RecordKind::Change, batch.times, committed, changes);
    }

    fn export_spans(&self, batch: &PreparedBatch, insert: BatchInsert, outcomes: &[RecordOutcome<'_>]) {
        let Some(spans) = &self.spans else { return };
        let records =
            batch.records.iter().zip(outcomes).filter_map(|(PreparedRecord { in_flight, event }, outcome)| {
                let rejected = match outcome {
                    RecordOutcome::Stored => None,
                    RecordOutcome::DeadLettered(reason) => Some(*reason),
                    RecordOutcome::HandedBack => return None,
                };
                Some(ProcessedRecord { in_flight, rejected, has_row: event.is_ok() })
            });
        spans.export(batch.times, insert, records);
    }

    /// Stores the offset of each partition of a batch whose records all have an outcome, unless it is revoked.
    fn store_offsets(&self, records: &[PreparedRecord]) {
        struct PartitionEnd<'a> {
            partition: &'a Arc<PartitionHandle>,
            last: &'a KafkaRecord,
            records: usize,
        }
        let mut ends: HashMap<*const PartitionHandle, PartitionEnd<'_>> = HashMap::new();
        for InFlightRecord { partition, record, .. } in records.iter().map(|record| &record.in_flight) {
            let end =
                ends.entry(Arc::as_ptr(partition)).or_insert(PartitionEnd { partition, last: record, records: 0 });
            if record.position.offset > end.last.position.offset {
                end.last = record;
            }
            end.records += 1;
        }
        let assigned = ends.values().filter(|end| !end.partition.is_revoked());
        let offsets: Vec<(i32, i64)> = assigned
            .map(|end| {
                let offset = end.last.position.offset;
                end.partition.note_stored(offset, end.last.timestamp);
                (end.partition.partition(), offset + 1)
            })
            .collect();
        self.offsets.store(&offsets);
        ends.values().for_each(|end| end.partition.end(end.records));
    }
}

/// Logs a record in whose place the table has other content.
fn log_conflict(record: &PreparedRecord, reason: &RejectReason) {
    let RecordPosition { partition, offset } = record.in_flight.record.position;
    if let (RejectReason::Conflicting(_), Some(row)) = (reason, record.row()) {
        let order = row.order.order_id.as_str();
        tracing::warn!(order, partition, offset, "conflicting order is dead-lettered: {reason}");
    }
    if let (RejectReason::ConflictingChange { .. }, Some(change)) = (reason, record.change()) {
        let order = change.order_id.as_str();
        tracing::warn!(order, partition, offset, "conflicting change is dead-lettered: {reason}");
    }
}
