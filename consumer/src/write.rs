//! A writer: takes all that is waiting for it, prepares it, stores it, and only then stores the offsets (invariant 4).
//! While one batch is in the database, the next is being decoded and enriched.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::SystemTime,
};

use rdkafka::{Offset, TopicPartitionList, consumer::Consumer};
use shared::wire::{DecodeError, ReceivedOrder};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    account::Account,
    assignment::Lease,
    dead_letter::{DeadLetters, Defect},
    decode::{decode, due},
    enrich::{Enricher, Facts},
    group::Group,
    metrics,
    read::Delivered,
    statistics::{BatchTimes, Statistics},
    store::{Database, GivenUp, OrderRow, Outage},
};

/// What all writers share.
pub struct Writing {
    /// For the offsets.
    pub group: Arc<Group>,
    /// The topic that the offsets are of.
    pub topic: String,
    /// Region, gender, age group and category.
    pub enricher: Enricher,
    /// For what can't become a row.
    pub dead_letters: DeadLetters,
    /// The count of records.
    pub account: Arc<Account>,
    /// How long it took.
    pub statistics: Arc<Statistics>,
    /// Cancelled when a stop's deadline is over: what isn't stored yet is handed back.
    pub abandon: CancellationToken,
}

/// Records that go into the table together, and when they got this far.
struct Batch {
    records: Vec<Prepared>,
    taken: SystemTime,
    decoded: SystemTime,
    enriched: SystemTime,
}

/// A record and what it is to become.
struct Prepared {
    delivered: Delivered,
    becomes: Result<OrderRow, Defect>,
}

/// Works until `records` is closed and empty.
pub async fn write(
    shared: Arc<Writing>,
    records: mpsc::UnboundedReceiver<Delivered>,
    max_batch: usize,
    lookups: Database,
    inserts: Database,
) {
    let (ready, next) = mpsc::channel(1);
    let preparing = tokio::spawn(prepare(shared.clone(), records, max_batch, lookups, ready));
    store(shared, next, inserts).await;
    if let Err(error) = preparing.await {
        tracing::error!(%error, "a writer's preparation ended badly");
    }
}

async fn prepare(
    shared: Arc<Writing>,
    mut records: mpsc::UnboundedReceiver<Delivered>,
    max_batch: usize,
    mut database: Database,
    ready: mpsc::Sender<Batch>,
) {
    let mut waiting = Vec::with_capacity(max_batch);
    while records.recv_many(&mut waiting, max_batch).await > 0 {
        let batch = shared.keep_ours(std::mem::take(&mut waiting), |delivered| &delivered.lease);
        match shared.prepare(batch, &mut database).await {
            Ok(prepared) => {
                if ready.send(prepared).await.is_err() {
                    return;
                }
            }
            Err(batch) => shared.hand_back(batch.iter().map(|delivered| &delivered.lease)),
        }
    }
}

async fn store(shared: Arc<Writing>, mut next: mpsc::Receiver<Batch>, mut database: Database) {
    while let Some(mut batch) = next.recv().await {
        batch.records = shared.keep_ours(batch.records, |prepared| &prepared.delivered.lease);
        if let Err(records) = shared.store(batch, &mut database).await {
            shared.hand_back(records.iter().map(|prepared| &prepared.delivered.lease));
        }
    }
}

impl Writing {
    /// Drops what belongs to a partition that went away (invariant 9).
    fn keep_ours<T>(&self, batch: Vec<T>, lease: impl Fn(&T) -> &Arc<Lease>) -> Vec<T> {
        let (ours, gone): (Vec<T>, Vec<T>) = batch.into_iter().partition(|item| !lease(item).is_revoked());
        self.hand_back(gone.iter().map(lease));
        ours
    }

    fn hand_back<'a>(&self, leases: impl Iterator<Item = &'a Arc<Lease>>) {
        let mut records = 0;
        for lease in leases {
            lease.end(1);
            records += 1;
        }
        self.account.handed_back(records);
    }

    /// Decodes and enriches; gives the batch back when it was given up.
    async fn prepare(&self, batch: Vec<Delivered>, database: &mut Database) -> Result<Batch, Vec<Delivered>> {
        let taken = SystemTime::now();
        let orders: Vec<_> = batch.iter().map(|delivered| decode(&delivered.record)).collect();
        let decoded = SystemTime::now();
        let gone = || batch.iter().all(|delivered| delivered.lease.is_revoked());
        let Ok(facts) = self.learn(&orders, database, &mut Outage::until(&self.abandon, &gone)).await else {
            return Err(batch);
        };
        let enriched = SystemTime::now();
        let prepared = batch.into_iter().zip(orders).map(|(delivered, order)| Prepared {
            becomes: order.map_err(Defect::from).and_then(|order| enrich(order, &facts)),
            delivered,
        });
        Ok(Batch { records: prepared.collect(), taken, decoded, enriched })
    }

    /// What is known of the users and products of the orders. Whatever fails, it is not the orders' fault: an order is never
    /// dead-lettered for a lookup that failed.
    async fn learn(
        &self,
        orders: &[Result<ReceivedOrder, DecodeError>],
        database: &mut Database,
        outage: &mut Outage<'_>,
    ) -> Result<Facts, GivenUp> {
        let events = || orders.iter().filter_map(|order| Some(&order.as_ref().ok()?.event));
        loop {
            let users: HashSet<&str> = events().map(|event| event.user_id.as_str()).collect();
            let products: HashSet<&str> = events().map(|event| event.product_id.as_str()).collect();
            match self.enricher.learn(users, products, database, outage).await? {
                Ok(facts) => return Ok(facts),
                Err(error) => database.lost(error.to_string(), outage).await,
            }
        }
    }

    /// Rows to the table, the rest to the dead-letter topic, then the offsets; gives the batch back when it was given up.
    async fn store(&self, batch: Batch, database: &mut Database) -> Result<(), Vec<Prepared>> {
        let Batch { records: batch, taken, decoded, enriched } = batch;
        // Sorted by key, so that two writers that insert the same orders never wait for each other in a circle.
        let mut rows: Vec<(usize, &OrderRow)> =
            batch.iter().enumerate().filter_map(|(at, prepared)| Some((at, prepared.becomes.as_ref().ok()?))).collect();
        rows.sort_unstable_by(|(_, a), (_, b)| a.order.order_id.cmp(&b.order.order_id));
        let (places, rows): (Vec<usize>, Vec<&OrderRow>) = rows.into_iter().unzip();
        let gone = || batch.iter().all(|prepared| prepared.delivered.lease.is_revoked());
        let Ok(stored) = database.store(&rows, &mut Outage::until(&self.abandon, &gone)).await else {
            return Err(batch);
        };
        let accepted = rows.len() - stored.refused.len();
        ::metrics::histogram!(metrics::BATCH_ROWS).record(accepted as f64);

        let times = BatchTimes { taken, decoded, enriched, committed: SystemTime::now() };
        let refused: HashMap<usize, Defect> =
            stored.refused.into_iter().map(|(row, error)| (places[row], error.into())).collect();
        self.dead_letters.decided(batch.len());
        let mut dead = Vec::new();
        for (at, prepared) in batch.iter().enumerate() {
            let Some(defect) = prepared.becomes.as_ref().err().or_else(|| refused.get(&at)) else { continue };
            let mut outage = Outage::until(&self.abandon, &gone);
            if self.dead_letters.send(&prepared.delivered.record, defect, &mut outage).await.is_err() {
                return Err(batch);
            }
            dead.push(defect.kind());
        }
        // Counted only now: a batch that is given up is handed back whole.
        self.account.inserted(accepted as u64, stored.inserted);
        dead.into_iter().for_each(|kind| self.account.dead_lettered(kind));
        let accepted = batch.iter().enumerate().filter(|(at, _)| !refused.contains_key(at));
        let due = accepted.filter_map(|(_, prepared)| {
            let row = prepared.becomes.as_ref().ok()?;
            Some((due(&prepared.delivered.record, &row.order.order_id)?, prepared.delivered.read_at))
        });
        self.statistics.committed(times, due);
        self.done(&batch);
        Ok(())
    }

    /// Stores the offsets of a batch whose orders are all in the table or acknowledged as dead letters.
    fn done(&self, batch: &[Prepared]) {
        let mut ends: HashMap<*const Lease, (&Arc<Lease>, i64, usize)> = HashMap::new();
        for prepared in batch {
            let (lease, offset) = (&prepared.delivered.lease, prepared.delivered.record.offset);
            let end = ends.entry(Arc::as_ptr(lease)).or_insert((lease, offset, 0));
            end.1 = end.1.max(offset);
            end.2 += 1;
        }
        let mut offsets = TopicPartitionList::new();
        for (lease, offset, _) in ends.values().filter(|(lease, ..)| !lease.is_revoked()) {
            if let Err(error) = offsets.add_partition_offset(&self.topic, lease.partition(), Offset::Offset(offset + 1))
            {
                tracing::warn!(%error, "an offset can't be stored");
            }
            lease.stored_up_to(offset + 1);
        }
        // Refused when the partition went away this moment; its next owner then reads the orders again, to no effect.
        if let Err(error) = self.group.member().consumer.store_offsets(&offsets) {
            tracing::debug!(%error, "offsets are not stored");
        }
        for (lease, _, records) in ends.values() {
            lease.end(*records);
        }
    }
}

fn enrich(order: ReceivedOrder, facts: &Facts) -> Result<OrderRow, Defect> {
    let (user, product) = (order.event.user_id.as_str(), order.event.product_id.as_str());
    let user = facts.users.get(user).cloned().ok_or_else(|| Defect::UnknownUser(user.to_owned()))?;
    let product = facts.products.get(product).cloned().ok_or_else(|| Defect::UnknownProduct(product.to_owned()))?;
    Ok(OrderRow { order, user, product })
}
