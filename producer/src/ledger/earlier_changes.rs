//! The histories of a killed producer's orders, which the resumed one continues.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rdkafka::Message;
use roaring::RoaringTreemap;
use shared::{
    kafka::{KafkaSettings, scan},
    ledger::{ChangesSummary, JournalContents, Run},
    lifecycle::{ChangeNumber, MAX_CHANGES, OrderStatus},
    order::PlacedStatus,
    order_id::OrderId,
    retry::Backoff,
};

use crate::{
    lifecycle::{Histories, OrderChange},
    pace::Order,
};

/// How long to retry to read the topic.
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);

/// The partitions of the orders of a run. The journal lacks them: they depend on what was skipped.
#[derive(Debug, Default)]
pub struct OrderPartitions(Vec<RoaringTreemap>);

impl OrderPartitions {
    /// Reads them from the topic. The brokers may be what ended the run that is resumed: they have a minute to come
    /// back.
    ///
    /// # Errors
    /// When the brokers do not answer, or stop answering, and a minute is over.
    pub async fn read_with_retries(kafka: &KafkaSettings, run: &Run) -> anyhow::Result<Self> {
        let (mut backoff, deadline) = (Backoff::start(), Instant::now() + RETRY_TIMEOUT);
        loop {
            let (kafka, run) = (kafka.clone(), run.clone());
            let error = match tokio::task::spawn_blocking(move || Self::read(&kafka, &run)).await? {
                Ok(partitions) => return Ok(partitions),
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(error) => error,
            };
            tracing::warn!(
                "Kafka: the earlier orders can't be read, retrying for at most {RETRY_TIMEOUT:?}: {error:#}"
            );
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }

    /// Blocks.
    fn read(kafka: &KafkaSettings, run: &Run) -> anyhow::Result<Self> {
        let mut found = Self::default();
        scan(kafka, &run.topic, Some(run.started_at), |record| {
            let id = record.key().and_then(|key| std::str::from_utf8(key).ok()?.parse::<OrderId>().ok());
            if let Some(id) = id.filter(|id| id.tag() == run.tag) {
                found.add(id.sequence().get(), record.partition());
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn add(&mut self, order: u64, partition: i32) {
        let Ok(partition) = usize::try_from(partition) else { return };
        if partition >= self.0.len() {
            self.0.resize_with(partition + 1, RoaringTreemap::new);
        }
        self.0[partition].insert(order);
    }

    /// `None` when the topic has no record of the order.
    fn of(&self, order: u64) -> Option<i32> {
        let partition = self.0.iter().position(|orders| orders.contains(order))?;
        i32::try_from(partition).ok()
    }
}

/// What became of the changes of the killed producer. Those without a result in the journal are sent again.
#[derive(Debug, Default)]
pub struct EarlierChanges {
    /// Acknowledged changes.
    by_status: BTreeMap<OrderStatus, u64>,
    failed: u64,
    /// Changes that will not be sent: of orders whose partition is not known, or beyond the limit.
    skipped: u64,
    /// Acknowledged orders that have further changes, but no record in the topic.
    pub orders_without_record: u64,
}

impl EarlierChanges {
    /// Adds them to those of the resumed producer.
    pub fn add_to(&self, summary: &mut ChangesSummary) {
        let acknowledged: u64 = self.by_status.values().sum();
        summary.acknowledged += acknowledged;
        summary.failed += self.failed;
        summary.enqueued += acknowledged + self.failed;
        summary.skipped += self.skipped;
        summary.scheduled += acknowledged + self.failed + self.skipped;
        for (status, count) in &self.by_status {
            *summary.by_status.entry(*status).or_default() += count;
        }
    }
}

/// Continues the histories of earlier orders.
pub struct EarlierHistories<'a> {
    partitions: OrderPartitions,
    histories: &'a mut Histories,
    pub changes: EarlierChanges,
}

impl<'a> EarlierHistories<'a> {
    pub fn new(partitions: OrderPartitions, histories: &'a mut Histories) -> Self {
        Self { partitions, histories, changes: EarlierChanges::default() }
    }

    /// Continues the history of an order that was acknowledged, and placed with this status: with the change after the
    /// last one that the journal has as acknowledged. A change that failed ended the history.
    pub fn continue_with(&mut self, order: Order, placed: PlacedStatus, journal: &JournalContents) {
        let has = |changes: &RoaringTreemap, sequence: u8| {
            ChangeNumber::new(order.number, sequence.into()).is_some_and(|number| changes.contains(number.get()))
        };
        let Self { partitions, histories, changes } = self;
        let mut last = 0;
        for (sequence, planned) in (1..=MAX_CHANGES).zip(histories.plans().history(order.number, placed)) {
            if has(&journal.changes_failed, sequence) {
                changes.failed += 1;
                return;
            }
            if !has(&journal.changes_acknowledged, sequence) {
                break;
            }
            *changes.by_status.entry(planned.status).or_default() += 1;
            last = sequence;
        }
        let further = histories.plans().history(order.number, placed).skip(last.into()).count() as u64;
        match partitions.of(order.number) {
            Some(partition) => {
                changes.skipped += histories.go_on(OrderChange { order, partition, sequence: last, placed });
            }
            None if further > 0 => {
                changes.orders_without_record += 1;
                changes.skipped += further;
            }
            None => {}
        }
    }
}
