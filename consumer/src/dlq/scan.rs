//! Reads the dead-letter topic.
//!
//! An order that is replayed before the cause is gone has another dead letter. Its latest dead letter counts.

use std::collections::{HashMap, HashSet};

use anyhow::Context;
use rdkafka::message::BorrowedMessage;
use shared::{
    database::{DatabaseSettings, connect},
    kafka::{KafkaSettings, scan},
};

use super::dead_letter::{DeadLetter, OrderKey};
use crate::model::RecordPosition;

/// Maximum number of orders that one query looks up.
const LOOKUP_BATCH: usize = 5_000;

/// Passes every dead letter of `topic` to `visit`. Returns the number of those whose headers can't be read. Blocks.
///
/// # Errors
/// When the topic can't be read, or `visit` fails.
pub fn visit_dead_letters(
    kafka: &KafkaSettings,
    topic: &str,
    mut visit: impl FnMut(DeadLetter) -> anyhow::Result<()>,
) -> anyhow::Result<u64> {
    let mut unreadable = 0;
    scan(kafka, topic, None, |record: &BorrowedMessage<'_>| match DeadLetter::parse(record) {
        Some(dead_letter) => visit(dead_letter),
        None => {
            unreadable += 1;
            Ok(())
        }
    })?;
    Ok(unreadable)
}

/// The position of each order's latest dead letter.
#[derive(Debug, Default)]
pub struct LatestDeadLetters(HashMap<OrderKey, RecordPosition>);

impl LatestDeadLetters {
    /// Reads the topic. Blocks.
    ///
    /// # Errors
    /// When the topic can't be read.
    pub fn read(kafka: &KafkaSettings, topic: &str) -> anyhow::Result<Self> {
        let mut latest: HashMap<OrderKey, (u32, RecordPosition)> = HashMap::new();
        visit_dead_letters(kafka, topic, |dead_letter| {
            let next = (dead_letter.replays, dead_letter.position);
            let current = latest.entry(dead_letter.order).or_insert(next);
            // Within a partition the later one is the latest; across partitions, the one with more replays.
            *current = next.max(*current);
            Ok(())
        })?;
        Ok(Self(latest.into_iter().map(|(order, (_, position))| (order, position)).collect()))
    }

    /// Whether `dead_letter` is the latest of its order.
    pub fn contains(&self, dead_letter: &DeadLetter) -> bool {
        self.0.get(&dead_letter.order) == Some(&dead_letter.position)
    }

    /// Returns those of the orders that are in the table.
    ///
    /// # Errors
    /// When the table can't be read.
    pub async fn find_stored(&self, database: &DatabaseSettings) -> anyhow::Result<HashSet<OrderKey>> {
        let client = connect(database).await?;
        let ids: Vec<&str> = self.0.keys().filter_map(OrderKey::order_id).collect();
        let mut stored = HashSet::new();
        for batch in ids.chunks(LOOKUP_BATCH) {
            let query = "SELECT order_id FROM orders WHERE order_id = ANY($1)";
            let rows = client.query(query, &[&batch]).await.context("the orders can't be looked up")?;
            stored.extend(rows.iter().map(|row| OrderKey::of_order(row.get(0))));
        }
        Ok(stored)
    }
}
