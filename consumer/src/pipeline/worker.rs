//! A worker: takes all records that wait for it, decodes and enriches them, and commits the batch. While one batch is
//! being committed, the next is decoded and enriched.

use std::{sync::Arc, time::SystemTime};

use shared::{
    order::OrderPlaced,
    wire::{DecodeError, ReceivedEvent},
};
use tokio::sync::mpsc;

use super::{
    commit::{BatchCommitter, OffsetStore},
    decode::decode,
    enrich::{Attributes, Enricher, LookupError},
    latency::PreparationTimes,
    prepared::{PreparedBatch, PreparedEvent, PreparedRecord},
};
use crate::{
    dlq::topic::DeadLetterSink,
    model::{InFlightRecord, RejectReason},
    retry_scope::{Cancelled, RetryScope},
    sink::database::OrderDatabase,
};

/// The parts that all workers share.
pub struct Pipeline<D, O> {
    pub enricher: Enricher,
    pub committer: BatchCommitter<D, O>,
}

/// Runs a worker until `records` is closed and empty.
pub async fn run_worker<D, O>(
    pipeline: Arc<Pipeline<D, O>>,
    records: mpsc::UnboundedReceiver<InFlightRecord>,
    max_batch: usize,
    lookups: OrderDatabase,
    inserts: OrderDatabase,
) where
    D: DeadLetterSink + 'static,
    O: OffsetStore + 'static,
{
    let (prepared, batches) = mpsc::channel(1);
    let preparing = tokio::spawn(prepare_batches(pipeline.clone(), records, max_batch, lookups, prepared));
    commit_batches(pipeline, batches, inserts).await;
    if let Err(error) = preparing.await {
        tracing::error!(%error, "worker: decoding or enriching a batch panicked, which is a bug");
    }
}

async fn prepare_batches<D: DeadLetterSink, O: OffsetStore>(
    pipeline: Arc<Pipeline<D, O>>,
    mut records: mpsc::UnboundedReceiver<InFlightRecord>,
    max_batch: usize,
    mut database: OrderDatabase,
    prepared: mpsc::Sender<PreparedBatch>,
) {
    let mut waiting = Vec::with_capacity(max_batch);
    while records.recv_many(&mut waiting, max_batch).await > 0 {
        let batch = pipeline.committer.drop_revoked(std::mem::take(&mut waiting), |record| record);
        match pipeline.prepare(batch, &mut database).await {
            Ok(batch) => {
                if prepared.send(batch).await.is_err() {
                    return;
                }
            }
            Err(batch) => pipeline.committer.hand_back(&batch),
        }
    }
}

async fn commit_batches<D: DeadLetterSink, O: OffsetStore>(
    pipeline: Arc<Pipeline<D, O>>,
    mut batches: mpsc::Receiver<PreparedBatch>,
    mut database: OrderDatabase,
) {
    while let Some(mut batch) = batches.recv().await {
        batch.records = pipeline.committer.drop_revoked(batch.records, |record| &record.in_flight);
        pipeline.committer.commit_batch(batch, &mut database).await;
    }
}

impl<D: DeadLetterSink, O: OffsetStore> Pipeline<D, O> {
    /// Decodes and enriches; returns the records unchanged when that is cancelled.
    async fn prepare(
        &self,
        batch: Vec<InFlightRecord>,
        database: &mut OrderDatabase,
    ) -> Result<PreparedBatch, Vec<InFlightRecord>> {
        let dequeued = SystemTime::now();
        let events: Vec<_> = batch.iter().map(|in_flight| decode(&in_flight.record)).collect();
        let decoded = SystemTime::now();
        let all_revoked = || batch.iter().all(|in_flight| in_flight.partition.is_revoked());
        let scope = RetryScope::new(&self.committer.force_stop, &all_revoked);
        let Ok(attributes) = self.lookup(&events, database, scope).await else { return Err(batch) };
        let times = PreparationTimes { dequeued, decoded, enriched: SystemTime::now() };
        let prepare = |event| match event {
            Ok(ReceivedEvent::Placed(order)) => attributes.enrich(order).map(PreparedEvent::Order),
            Ok(ReceivedEvent::StatusChanged(change)) => Ok(PreparedEvent::Change(change)),
            Err(error) => Err(RejectReason::from(error)),
        };
        let records = batch.into_iter().zip(events);
        let records = records.map(|(in_flight, event)| PreparedRecord { event: prepare(event), in_flight });
        Ok(PreparedBatch { records: records.collect(), times })
    }

    /// Looks up the users and products of the orders, again until it succeeds: no order is dead-lettered because a
    /// lookup failed.
    async fn lookup(
        &self,
        events: &[Result<ReceivedEvent, DecodeError>],
        database: &mut OrderDatabase,
        mut scope: RetryScope<'_>,
    ) -> Result<Attributes, Cancelled> {
        let placed = || events.iter().filter_map(placed);
        loop {
            let users = placed().map(|event| &event.user_id).collect();
            let products = placed().map(|event| &event.product_id).collect();
            match self.enricher.lookup(users, products, database, &mut scope).await {
                Ok(attributes) => {
                    scope.succeed();
                    return Ok(attributes);
                }
                Err(LookupError::Cancelled(cancelled)) => return Err(cancelled),
                Err(LookupError::Connection(error)) => database.back_off_after(format!("{error:#}"), &mut scope).await,
                Err(LookupError::Database(error)) => database.back_off_after(error.to_string(), &mut scope).await,
            }
        }
    }
}

fn placed(event: &Result<ReceivedEvent, DecodeError>) -> Option<&OrderPlaced> {
    match event {
        Ok(ReceivedEvent::Placed(order)) => Some(&order.event),
        Ok(ReceivedEvent::StatusChanged(_)) | Err(_) => None,
    }
}
