//! Which of a run's orders a topic has.

use chrono::{DateTime, Utc};
use rdkafka::Message;
use roaring::RoaringTreemap;
use shared::{
    kafka::{KafkaSettings, scan},
    order_id::{OrderId, RunTag},
};

/// A run's orders in a topic.
#[derive(Clone, Debug, Default)]
pub struct InTopic {
    /// Each order once.
    pub sequences: RoaringTreemap,
    /// Records beyond the first of their order.
    pub repeats: u64,
}

/// Reads `topic` from the records of time `from` to its end and picks those of a run, whose orders have one of `tags`. A
/// topic that doesn't exist has none. Blocks.
///
/// # Errors
/// When the cluster doesn't answer, or stops answering.
pub fn sequences(kafka: &KafkaSettings, topic: &str, tags: &[RunTag], from: DateTime<Utc>) -> anyhow::Result<InTopic> {
    let mut found = InTopic::default();
    scan(kafka, topic, Some(from), |record| {
        note(&mut found, record.key(), tags);
        Ok(())
    })?;
    Ok(found)
}

fn note(found: &mut InTopic, key: Option<&[u8]>, tags: &[RunTag]) {
    let id = key.and_then(|key| std::str::from_utf8(key).ok()).and_then(|key| key.parse::<OrderId>().ok());
    if let Some(id) = id.filter(|id| tags.contains(&id.tag()))
        && !found.sequences.insert(id.sequence().get())
    {
        found.repeats += 1;
    }
}
