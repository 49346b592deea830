//! Reads which orders and changes of a run have a record, without its content.

use chrono::{DateTime, Utc};
use rdkafka::Message;
use roaring::RoaringTreemap;
use shared::{
    kafka::{KafkaSettings, scan},
    lifecycle::ChangeNumber,
    order_id::RunTag,
    wire,
};

use super::run_record::{Event, run_record};

/// The orders and changes of a run that have a record.
#[derive(Clone, Debug, Default)]
pub struct RecordedNumbers {
    pub orders: RoaringTreemap,
    /// By their [`ChangeNumber`]s.
    pub changes: RoaringTreemap,
}

/// Reads `topic` from the records of time `from` to its end and picks those of a run, whose orders have one of `tags`.
/// Blocks.
///
/// # Errors
/// When the cluster does not answer, or stops answering.
pub fn read_numbers(
    kafka: &KafkaSettings,
    topic: &str,
    tags: &[RunTag],
    from: DateTime<Utc>,
) -> anyhow::Result<RecordedNumbers> {
    let mut found = RecordedNumbers::default();
    scan(kafka, topic, Some(from), |record| {
        match run_record(record, tags) {
            Some((id, Event::Placed)) => drop(found.orders.insert(id.sequence().get())),
            Some((id, Event::StatusChanged)) => {
                if let Ok(change) = wire::decode_change(record.key(), record.payload())
                    && let Some(number) = ChangeNumber::new(id.sequence().get(), change.event.sequence)
                {
                    found.changes.insert(number.get());
                }
            }
            None => {}
        }
        Ok(())
    })?;
    Ok(found)
}
