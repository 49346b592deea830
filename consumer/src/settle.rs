//! The end of a record's way: its row is in the table, or it is acknowledged as a dead letter, and only then is its offset
//! stored (invariant 4).

#[cfg(test)]
mod model;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::SystemTime,
};

use tokio_util::sync::CancellationToken;

use crate::{
    account::Account,
    assignment::Lease,
    dead_letter::Defect,
    decode::due,
    metrics,
    outage::{GivenUp, Outage},
    read::Delivered,
    record::Record,
    statistics::{BatchTimes, Statistics},
    store::{OrderRow, Stored, Table, store},
};

/// Records that go into the table together, and when they got this far.
pub struct Batch {
    /// The records.
    pub records: Vec<Prepared>,
    /// When their writer took them.
    pub taken: SystemTime,
    /// When they were decoded.
    pub decoded: SystemTime,
    /// When they were enriched.
    pub enriched: SystemTime,
}

/// A record and what it is to become.
pub struct Prepared {
    /// The record.
    pub delivered: Delivered,
    /// Its row, or why it can have none.
    pub becomes: Result<OrderRow, Defect>,
}

/// Where goes what can't become a row.
pub trait Letters: Send + Sync {
    /// So many records were decided about, those that are to be sent here among them.
    fn decided(&self, records: usize);

    /// Sends a record, and waits until it is acknowledged.
    ///
    /// # Errors
    /// [`GivenUp`] when that is not waited for any longer.
    fn send(
        &self,
        record: &Record,
        defect: &Defect,
        outage: &mut Outage<'_>,
    ) -> impl Future<Output = Result<(), GivenUp>> + Send;
}

/// Where the group's progress is kept.
pub trait Offsets: Send + Sync {
    /// Everything before `offset` of each `(partition, offset)` is done with.
    fn store(&self, offsets: &[(i32, i64)]);
}

/// What all writers share of it.
pub struct Settling<L, O> {
    /// For what can't become a row.
    pub letters: L,
    /// For the offsets.
    pub offsets: O,
    /// The count of records.
    pub account: Arc<Account>,
    /// How long it took.
    pub statistics: Arc<Statistics>,
    /// Cancelled when a stop's deadline is over: what isn't stored yet is handed back.
    pub abandon: CancellationToken,
}

/// What became of a record.
enum Fate<'a> {
    Accepted,
    Dead(&'a Defect),
    HandedBack,
}

impl<L: Letters, O: Offsets> Settling<L, O> {
    /// Drops what belongs to a partition that went away (invariant 9).
    pub fn keep_ours<T>(&self, batch: Vec<T>, lease: impl Fn(&T) -> &Arc<Lease>) -> Vec<T> {
        let (ours, gone): (Vec<T>, Vec<T>) = batch.into_iter().partition(|item| !lease(item).is_revoked());
        self.hand_back(gone.iter().map(lease));
        ours
    }

    /// Leaves records to the next owner of their partitions.
    pub fn hand_back<'a>(&self, leases: impl Iterator<Item = &'a Arc<Lease>>) {
        let mut records = 0;
        for lease in leases {
            lease.end(1);
            records += 1;
        }
        self.account.handed_back(records);
    }

    /// Rows to the table, the rest to the dead-letter topic, then the offsets. A batch that is given up is handed back whole,
    /// whatever of it is in the table.
    pub async fn settle(&self, batch: Batch, table: &mut impl Table) {
        let Batch { records, taken, decoded, enriched } = batch;
        // Once a batch was given up, an offset of a later one would pass over it.
        if self.abandon.is_cancelled() || self.try_settle(&records, table, (taken, decoded, enriched)).await.is_err() {
            self.hand_back(records.iter().map(|prepared| &prepared.delivered.lease));
        }
    }

    async fn try_settle(
        &self,
        records: &[Prepared],
        table: &mut impl Table,
        (taken, decoded, enriched): (SystemTime, SystemTime, SystemTime),
    ) -> Result<(), GivenUp> {
        let gone = || records.iter().all(|prepared| prepared.delivered.lease.is_revoked());
        // Sorted by key, so that two writers that insert the same orders never wait for each other in a circle.
        let mut rows: Vec<(usize, &OrderRow)> =
            records.iter().enumerate().filter_map(|(at, it)| Some((at, it.becomes.as_ref().ok()?))).collect();
        rows.sort_unstable_by(|(_, a), (_, b)| a.order.order_id.cmp(&b.order.order_id));
        let (places, rows): (Vec<usize>, Vec<&OrderRow>) = rows.into_iter().unzip();
        let is_ours = |row: usize| !records[places[row]].delivered.lease.is_revoked();
        let Stored { inserted, refused, dropped } =
            store(table, &rows, &is_ours, &mut Outage::until(&self.abandon, &gone)).await?;
        let times = BatchTimes { taken, decoded, enriched, committed: SystemTime::now() };
        let accepted = rows.len() - refused.len() - dropped.len();
        ::metrics::histogram!(metrics::BATCH_ROWS).record(accepted as f64);

        let refused: HashMap<usize, Defect> =
            refused.into_iter().map(|(row, error)| (places[row], error.into())).collect();
        let dropped: HashSet<usize> = dropped.into_iter().map(|row| places[row]).collect();
        self.letters.decided(records.len());
        let mut fates = Vec::with_capacity(records.len());
        for (at, prepared) in records.iter().enumerate() {
            let fate = match prepared.becomes.as_ref().err().or_else(|| refused.get(&at)) {
                _ if dropped.contains(&at) => Fate::HandedBack,
                None => Fate::Accepted,
                Some(_) if prepared.delivered.lease.is_revoked() => Fate::HandedBack,
                Some(defect) => {
                    let mut outage = Outage::until(&self.abandon, &gone);
                    self.letters.send(&prepared.delivered.record, defect, &mut outage).await?;
                    Fate::Dead(defect)
                }
            };
            fates.push(fate);
        }
        // Counted only now: a batch that is given up is handed back whole.
        self.account.inserted(accepted as u64, inserted);
        for fate in &fates {
            match fate {
                Fate::Accepted => {}
                Fate::Dead(defect) => self.account.dead_lettered(defect.kind()),
                Fate::HandedBack => self.account.handed_back(1),
            }
        }
        let accepted = records.iter().zip(&fates).filter(|(_, fate)| matches!(fate, Fate::Accepted));
        let due = accepted.filter_map(|(prepared, _)| {
            let row = prepared.becomes.as_ref().ok()?;
            Some((due(&prepared.delivered.record, &row.order.order_id)?, prepared.delivered.read_at))
        });
        self.statistics.committed(times, due);
        self.done(records);
        Ok(())
    }

    /// Stores the offsets of a batch whose orders are all in the table or acknowledged as dead letters, but for those of
    /// partitions that went away.
    fn done(&self, records: &[Prepared]) {
        let mut ends: HashMap<*const Lease, (&Arc<Lease>, i64, usize)> = HashMap::new();
        for prepared in records {
            let (lease, offset) = (&prepared.delivered.lease, prepared.delivered.record.offset);
            let end = ends.entry(Arc::as_ptr(lease)).or_insert((lease, offset, 0));
            end.1 = end.1.max(offset);
            end.2 += 1;
        }
        let ours = ends.values().filter(|(lease, ..)| !lease.is_revoked());
        let offsets: Vec<(i32, i64)> = ours
            .map(|(lease, offset, _)| {
                lease.stored_up_to(offset + 1);
                (lease.partition(), offset + 1)
            })
            .collect();
        self.offsets.store(&offsets);
        for (lease, _, records) in ends.values() {
            lease.end(*records);
        }
    }
}
