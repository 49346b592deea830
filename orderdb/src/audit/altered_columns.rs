//! Names the columns in which altered rows differ from their records.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use rdkafka::Message;
use shared::{
    kafka::{KafkaSettings, scan},
    order_id::{OrderId, RunTag},
    wire,
};

use super::{
    order_fields::OrderFields,
    run_record::{Event, run_record},
    table::AlteredOrder,
    topic::MAX_CLOCK_DIFFERENCE,
};

/// Column names of a row whose record is not an order.
const ALL_COLUMNS: &str = "all";

/// Adds, to each row of `sample` that differs from its record, the columns that differ. Reads the topic again, since
/// only digests of its records are kept. Blocks.
///
/// # Errors
/// When the cluster does not answer, or stops answering.
pub fn name_columns(
    kafka: &KafkaSettings,
    topic: &str,
    tags: &[RunTag],
    sample: &mut [AlteredOrder],
) -> anyhow::Result<()> {
    let ids = sample.iter().filter(|order| order.row.is_some()).filter_map(|order| order.order_id.parse().ok());
    let Some(first_due) = ids.map(OrderId::due_nanos).min() else { return Ok(()) };
    let from = DateTime::<Utc>::from_timestamp_nanos(first_due.cast_signed()) - MAX_CLOCK_DIFFERENCE;
    scan(kafka, topic, Some(from), |record| {
        let Some((id, Event::Placed)) = run_record(record, tags) else { return Ok(()) };
        let of_record = |order: &&mut AlteredOrder| {
            order.order_id.parse().is_ok_and(|row: OrderId| (row.tag(), row.sequence()) == (id.tag(), id.sequence()))
        };
        if let Some(order) = sample.iter_mut().find(of_record)
            && let Some(row) = order.row.take()
        {
            let columns = match wire::decode_order(record.key(), record.payload()) {
                Ok(record) => row.differences(&OrderFields::of_record(&record)),
                Err(_) => vec![ALL_COLUMNS],
            };
            order.columns.splice(0..0, columns.into_iter().map(Cow::from));
        }
        Ok(())
    })
}
