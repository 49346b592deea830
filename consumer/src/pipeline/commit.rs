//! The end of the pipeline: inserts the rows of a batch into the table, sends the rejected records to the dead-letter
//! topic, and only then stores the offsets (invariant 4).

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::SystemTime,
};

use tokio_util::sync::CancellationToken;

use super::{
    accounting::Accounting,
    decode::due,
    latency::{LatencyRecorder, PreparationTimes},
    spans::{BatchInsert, OrderSpans, ProcessedRecord},
};
use crate::{
    dlq::{
        letter::{DeadLetterOutcome, Rejected},
        topic::DeadLetterSink,
    },
    metrics,
    model::{InFlightRecord, KafkaRecord, OrderRow, PartitionHandle, RecordPosition, RejectReason},
    retry_scope::{Cancelled, RetryScope},
    sink::{
        batch::{InsertedBatch, insert_batch},
        bisect::{BatchRow, OrderSink},
    },
};

/// Records whose rows are inserted by one statement.
pub struct PreparedBatch {
    pub records: Vec<PreparedRecord>,
    pub times: PreparationTimes,
}

/// A decoded and enriched record.
pub struct PreparedRecord {
    pub in_flight: InFlightRecord,
    /// The record's row, or why it can't have one.
    pub row: Result<OrderRow, RejectReason>,
}

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
    /// Its row is in the table.
    Stored,
    DeadLettered(&'a RejectReason),
    /// Its partition was revoked before it was stored or dead-lettered.
    HandedBack,
}

/// A batch after the insert. Records are named by their index in the batch.
struct InsertedRecords {
    /// Rows that were inserted now or before, with the same content.
    accepted: u64,
    /// Rows that the table did not have before.
    inserted: u64,
    /// Rows that the table refuses, or that conflict with a stored one.
    rejected: HashMap<usize, RejectReason>,
    /// Revoked before their row was sent.
    dropped: HashSet<usize>,
}

impl<D: DeadLetterSink, O: OffsetStore> BatchCommitter<D, O> {
    /// Hands back the items whose partition is revoked (invariant 9) and returns the others.
    pub fn drop_revoked<T>(&self, batch: Vec<T>, partition: impl Fn(&T) -> &Arc<PartitionHandle>) -> Vec<T> {
        let (kept, revoked): (Vec<T>, Vec<T>) = batch.into_iter().partition(|item| !partition(item).is_revoked());
        self.hand_back(revoked.iter().map(partition));
        kept
    }

    /// Hands back one record per handle: ends it without storing its offset.
    pub fn hand_back<'a>(&self, partitions: impl Iterator<Item = &'a Arc<PartitionHandle>>) {
        let mut records = 0;
        for partition in partitions {
            partition.end(1);
            records += 1;
        }
        self.accounting.handed_back(records);
    }

    /// Commits a batch. A cancelled batch is handed back completely, even if some of its rows are in the table.
    pub async fn commit_batch(&self, batch: PreparedBatch, table: &mut impl OrderSink) {
        // After a cancelled batch no later one may be committed: its offset would cover the records of the cancelled
        // one.
        if self.force_stop.is_cancelled() || self.try_commit(&batch, table).await.is_err() {
            self.hand_back(batch.records.iter().map(|record| &record.in_flight.partition));
        }
    }

    async fn try_commit(&self, batch: &PreparedBatch, table: &mut impl OrderSink) -> Result<(), Cancelled> {
        let records = &batch.records;
        let all_revoked = || records.iter().all(|record| record.in_flight.partition.is_revoked());
        let mut inserting = RetryScope::new(&self.force_stop, &all_revoked);
        let began = SystemTime::now();
        let inserted = insert_rows(records, table, &mut inserting).await?;
        inserting.succeed();
        let committed = SystemTime::now();
        let outcomes = self.dead_letter_rejected(records, &inserted, &all_revoked).await?;
        // Not counted earlier: a cancelled batch is handed back completely.
        self.count(records, &inserted, &outcomes);
        self.record_latency(batch, committed, &outcomes);
        self.export_spans(batch, BatchInsert { began, committed, records: records.len() }, &outcomes);
        self.store_offsets(records);
        Ok(())
    }

    /// Sends the rejected records to the dead-letter topic and returns the outcome of every record.
    async fn dead_letter_rejected<'a>(
        &self,
        records: &'a [PreparedRecord],
        inserted: &'a InsertedRecords,
        all_revoked: &(dyn Fn() -> bool + Sync),
    ) -> Result<Vec<RecordOutcome<'a>>, Cancelled> {
        self.dead_letters.observe(records.len());
        let (mut outcomes, mut rejected) = (Vec::with_capacity(records.len()), Vec::new());
        for (at, PreparedRecord { in_flight, row }) in records.iter().enumerate() {
            outcomes.push(match row.as_ref().err().or_else(|| inserted.rejected.get(&at)) {
                _ if inserted.dropped.contains(&at) => RecordOutcome::HandedBack,
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

    fn count(&self, records: &[PreparedRecord], inserted: &InsertedRecords, outcomes: &[RecordOutcome<'_>]) {
        self.accounting.inserted(inserted.accepted, inserted.inserted);
        for (record, outcome) in records.iter().zip(outcomes) {
            match outcome {
                RecordOutcome::Stored => {}
                RecordOutcome::DeadLettered(reason) => {
                    log_conflict(record, reason);
                    self.accounting.dead_lettered(reason.kind());
                }
                RecordOutcome::HandedBack => self.accounting.handed_back(1),
            }
        }
    }

    fn record_latency(&self, batch: &PreparedBatch, committed: SystemTime, outcomes: &[RecordOutcome<'_>]) {
        let stored = batch.records.iter().zip(outcomes).filter(|(_, outcome)| matches!(outcome, RecordOutcome::Stored));
        let orders = stored.filter_map(|(PreparedRecord { in_flight, row }, _)| {
            let order_id = &row.as_ref().ok()?.order.order_id;
            Some((due(&in_flight.record, order_id)?, in_flight.read_at))
        });
        self.latency.record(batch.times, committed, orders);
    }

    fn export_spans(&self, batch: &PreparedBatch, insert: BatchInsert, outcomes: &[RecordOutcome<'_>]) {
        let Some(spans) = &self.spans else { return };
        let records = batch.records.iter().zip(outcomes).filter_map(|(PreparedRecord { in_flight, row }, outcome)| {
            let rejected = match outcome {
                RecordOutcome::Stored => None,
                RecordOutcome::DeadLettered(reason) => Some(*reason),
                RecordOutcome::HandedBack => return None,
            };
            Some(ProcessedRecord { in_flight, rejected, has_row: row.is_ok() })
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

/// Logs an order whose id the table has with other content.
fn log_conflict(PreparedRecord { in_flight, row }: &PreparedRecord, reason: &RejectReason) {
    if let (RejectReason::Conflicting(_), Ok(row)) = (reason, row) {
        let (order, RecordPosition { partition, offset }) = (row.order.order_id.as_str(), in_flight.record.position);
        tracing::warn!(order, partition, offset, "conflicting order is dead-lettered: {reason}");
    }
}

/// Inserts the rows of all records that have one.
async fn insert_rows(
    records: &[PreparedRecord],
    table: &mut impl OrderSink,
    scope: &mut RetryScope<'_>,
) -> Result<InsertedRecords, Cancelled> {
    let mut rows: Vec<(usize, BatchRow<'_>)> = records
        .iter()
        .enumerate()
        .filter_map(|(at, record)| {
            let row = record.row.as_ref().ok()?;
            Some((at, BatchRow { row, partition: &record.in_flight.partition }))
        })
        .collect();
    // Sorted by key: two workers that insert the same orders lock them in the same order and never deadlock. Then by
    // position: of the records with one key, the first of a partition is stored.
    let position = |at: usize| records[at].in_flight.record.position;
    rows.sort_unstable_by(|(a, row_a), (b, row_b)| {
        let keys = row_a.row.order.order_id.cmp(&row_b.row.order.order_id);
        keys.then_with(|| position(*a).cmp(&position(*b)))
    });
    let (indexes, rows): (Vec<usize>, Vec<BatchRow<'_>>) = rows.into_iter().unzip();
    let InsertedBatch { inserted, rejected, dropped } = insert_batch(table, &rows, scope).await?;
    let accepted = rows.len() - rejected.len() - dropped.len();
    ::metrics::histogram!(metrics::BATCH_ROWS).record(accepted as f64);
    Ok(InsertedRecords {
        accepted: accepted as u64,
        inserted,
        rejected: rejected.into_iter().map(|(row, reason)| (indexes[row], reason)).collect(),
        dropped: dropped.into_iter().map(|row| indexes[row]).collect(),
    })
}
