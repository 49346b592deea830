//! The events of a topic as whole rows: what a sink gets that neither enriches nor knows changes. Each record has the
//! row of its order with the status of the event, in the partition and at the place that the event has.

use std::{collections::HashMap, sync::Arc};

use anyhow::Context;
use rdkafka::{Message, message::Headers};
use serde_json::{Value, json};
use shared::{
    kafka::{KafkaSettings, read_headers, scan},
    lifecycle::OrderStatus,
    wire::{EVENT_TYPE_HEADER, ReceivedEvent, decode},
};

use super::stored_order::StoredOrder;

/// The events of a topic, each partition in its order.
pub struct FlattenedEvents {
    rows: Arc<Vec<StoredOrder>>,
    events: Vec<Event>,
}

/// An event, in the order in which it was read.
#[derive(Clone, Copy)]
struct Event {
    /// Index of its order in the rows.
    row: usize,
    partition: i32,
    sequence: i32,
    status: OrderStatus,
}

impl FlattenedEvents {
    /// Reads the events of `topic`, whose orders are stored as `rows`.
    ///
    /// # Errors
    /// When the topic can't be read, or has a record that is no event of these orders.
    pub async fn read(kafka: &KafkaSettings, topic: &str, rows: Arc<Vec<StoredOrder>>) -> anyhow::Result<Self> {
        let (kafka, topic) = (kafka.clone(), topic.to_owned());
        tokio::task::spawn_blocking(move || {
            let by_id: HashMap<&str, usize> =
                rows.iter().enumerate().map(|(at, row)| (row.order_id.as_str(), at)).collect();
            let mut events = Vec::new();
            scan(&kafka, &topic, None, |record| {
                let event_type = || record.headers()?.iter().find(|header| header.key == EVENT_TYPE_HEADER)?.value;
                let event_type = read_headers(event_type).ok().flatten();
                let (order_id, sequence, status) = match decode(event_type, record.key(), record.payload())? {
                    ReceivedEvent::Placed(order) => (order.order_id, 0, order.event.status.into()),
                    ReceivedEvent::StatusChanged(change) => {
                        (change.order_id, change.event.sequence, change.event.status)
                    }
                };
                let row = *by_id.get(order_id.as_str()).with_context(|| format!("order {order_id} is not stored"))?;
                events.push(Event { row, partition: record.partition(), sequence, status });
                Ok(())
            })?;
            Ok(Self { rows, events })
        })
        .await?
    }

    /// Order id, partition and value of each record.
    pub fn records(&self) -> impl Iterator<Item = (&str, i32, Value)> {
        self.events.iter().map(|event| {
            let row = &self.rows[event.row];
            let mut value = json!(row);
            value["status"] = json!(event.status);
            value["status_sequence"] = json!(event.sequence);
            (row.order_id.as_str(), event.partition, value)
        })
    }
}
