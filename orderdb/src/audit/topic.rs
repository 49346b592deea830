//! Reads which orders of a run are in a topic.

use chrono::{DateTime, Utc};
use rdkafka::Message;
use roaring::RoaringTreemap;
use shared::{
    kafka::{KafkaSettings, scan},
    order_id::{OrderId, RunTag},
};

/// The orders of a run that are in a topic.
#[derive(Clone, Debug, Default)]
pub struct TopicSequences {
    /// Each order once.
    pub sequences: RoaringTreemap,
    /// Records beyond the first of their order.
    pub repeats: u64,
}

/// Reads `topic` from the records of time `from` to its end and picks the orders of a run, which have one of `tags`. A
/// topic that does not exist has none. Blocks.
///
/// # Errors
/// When the cluster does not answer, or stops answering.
pub fn read_sequences(
    kafka: &KafkaSettings,
    topic: &str,
    tags: &[RunTag],
    from: DateTime<Utc>,
) -> anyhow::Result<TopicSequences> {
    let mut found = TopicSequences::default();
    scan(kafka, topic, Some(from), |record| {
        found.add(record.key(), tags);
        Ok(())
    })?;
    Ok(found)
}

impl TopicSequences {
    fn add(&mut self, key: Option<&[u8]>, tags: &[RunTag]) {
        let id = key.and_then(|key| std::str::from_utf8(key).ok()).and_then(|key| key.parse::<OrderId>().ok());
        if let Some(id) = id.filter(|id| tags.contains(&id.tag()))
            && !self.sequences.insert(id.sequence().get())
        {
            self.repeats += 1;
        }
    }
}
