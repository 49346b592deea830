//! A writer: takes all that is waiting for it, decodes and enriches it, and has it settled.
//! While one batch is in the database, the next is being decoded and enriched.

use std::{sync::Arc, time::SystemTime};

use shared::wire::{DecodeError, ReceivedOrder};
use tokio::sync::mpsc;

use crate::{
    dead_letter::{DeadLetters, Defect},
    decode::decode,
    enrich::{Enricher, Facts},
    group::Group,
    outage::{GivenUp, Outage},
    read::Delivered,
    settle::{Batch, Prepared, Settling},
    store::OrderRow,
    table::Database,
};

/// What all writers share.
pub struct Writing {
    /// Region, gender, age group and category.
    pub enricher: Enricher,
    /// What comes after that.
    pub settling: Settling<DeadLetters, Arc<Group>>,
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
        let batch = shared.settling.keep_ours(std::mem::take(&mut waiting), |delivered| &delivered.lease);
        match shared.prepare(batch, &mut database).await {
            Ok(prepared) => {
                if ready.send(prepared).await.is_err() {
                    return;
                }
            }
            Err(batch) => shared.settling.hand_back(batch.iter().map(|delivered| &delivered.lease)),
        }
    }
}

async fn store(shared: Arc<Writing>, mut next: mpsc::Receiver<Batch>, mut database: Database) {
    while let Some(mut batch) = next.recv().await {
        batch.records = shared.settling.keep_ours(batch.records, |prepared| &prepared.delivered.lease);
        shared.settling.settle(batch, &mut database).await;
    }
}

impl Writing {
    /// Decodes and enriches; gives the batch back when it was given up.
    async fn prepare(&self, batch: Vec<Delivered>, database: &mut Database) -> Result<Batch, Vec<Delivered>> {
        let taken = SystemTime::now();
        let orders: Vec<_> = batch.iter().map(|delivered| decode(&delivered.record)).collect();
        let decoded = SystemTime::now();
        let gone = || batch.iter().all(|delivered| delivered.lease.is_revoked());
        let Ok(facts) = self.learn(&orders, database, &mut Outage::until(&self.settling.abandon, &gone)).await else {
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
            let (users, products) =
                (events().map(|event| &event.user_id).collect(), events().map(|event| &event.product_id).collect());
            match self.enricher.learn(users, products, database, outage).await? {
                Ok(facts) => return Ok(facts),
                Err(error) => database.lost(error.to_string(), outage).await,
            }
        }
    }
}

fn enrich(order: ReceivedOrder, facts: &Facts) -> Result<OrderRow, Defect> {
    let (user, product) = (&order.event.user_id, &order.event.product_id);
    let user = facts.users.get(user).cloned().ok_or_else(|| Defect::UnknownUser(user.to_string()))?;
    let product = facts.products.get(product).cloned().ok_or_else(|| Defect::UnknownProduct(product.to_string()))?;
    Ok(OrderRow { order, user, product })
}
