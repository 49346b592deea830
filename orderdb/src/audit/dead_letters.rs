//! Reads which orders and changes of a run are in the dead-letter topic, and why.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rdkafka::{
    Message,
    message::{BorrowedMessage, Headers},
};
use roaring::RoaringTreemap;
use shared::{
    dlq_headers,
    kafka::{KafkaSettings, read_headers, scan},
    lifecycle::ChangeNumber,
    order_id::RunTag,
    wire,
};

use super::run_record::{Event, run_record};

/// Kind of the dead letter of a record whose order is stored with other content.
const CONFLICTING: &str = "conflicting";

/// What the dead-letter topic has of a run.
#[derive(Clone, Debug, Default)]
pub struct RunDeadLetters {
    pub orders: DeadLetters,
    pub changes: DeadLetters,
}

/// The orders of a run that are in the dead-letter topic, or the changes.
#[derive(Clone, Debug, Default)]
pub struct DeadLetters {
    /// Each order once, or each [`ChangeNumber`].
    pub sequences: RoaringTreemap,
    /// The same by the kinds of their dead letters.
    pub by_kind: BTreeMap<String, RoaringTreemap>,
}

/// Reads the dead letters of a run, whose orders have one of `tags`, from those of time `from` on. A topic that does
/// not exist has none. Blocks.
///
/// # Errors
/// When the cluster does not answer, or stops answering.
pub fn read_dead_letters(
    kafka: &KafkaSettings,
    topic: &str,
    tags: &[RunTag],
    from: DateTime<Utc>,
) -> anyhow::Result<RunDeadLetters> {
    let mut found = RunDeadLetters::default();
    scan(kafka, topic, Some(from), |record| {
        match run_record(record, tags) {
            Some((id, Event::Placed)) => found.orders.add(id.sequence().get(), kind(record)),
            Some((id, Event::StatusChanged)) => {
                // One that can't be read has no number: the topic's count of these has it.
                if let Ok(change) = wire::decode_change(record.key(), record.payload())
                    && let Some(number) = ChangeNumber::new(id.sequence().get(), change.event.sequence)
                {
                    found.changes.add(number.get(), kind(record));
                }
            }
            None => {}
        }
        Ok(())
    })?;
    Ok(found)
}

/// The kind of the last dead-lettering of the record.
fn kind(record: &BorrowedMessage<'_>) -> String {
    let last = || {
        let headers = record.headers().into_iter().flat_map(Headers::iter);
        let value = headers.filter(|header| header.key == dlq_headers::KIND).last()?.value?;
        Some(String::from_utf8_lossy(value).into_owned())
    };
    read_headers(last).ok().flatten().unwrap_or_else(|| "unknown".to_owned())
}

impl DeadLetters {
    pub fn add(&mut self, sequence: u64, kind: String) {
        self.sequences.insert(sequence);
        self.by_kind.entry(kind).or_default().insert(sequence);
    }

    /// Those with a record that a consumer rejected because another content is stored.
    pub fn conflicting(&self) -> RoaringTreemap {
        self.by_kind.get(CONFLICTING).cloned().unwrap_or_default()
    }

    /// How many are in `selected`, by the kinds of their dead letters.
    pub fn causes(&self, selected: &RoaringTreemap) -> BTreeMap<String, u64> {
        let counts = self.by_kind.iter().map(|(kind, orders)| (kind.clone(), orders.intersection_len(selected)));
        counts.filter(|(_, orders)| *orders > 0).collect()
    }
}
