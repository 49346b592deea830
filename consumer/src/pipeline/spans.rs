//! The spans of sampled orders: one for each of them, from the read of its record to its commit, as a child of the
//! producer's span; and one for each insert that has a row of a sampled order, with links to the spans of these orders.

use std::{sync::Arc, time::SystemTime};

use shared::traces::{Event, FinishedSpan, KeyValue, SpanContext, SpanExport, SpanKind, Status, child_of, root};

use super::latency::PreparationTimes;
use crate::model::{InFlightRecord, KafkaRecord, RejectReason};

/// Maximum characters of a key in a span.
const MAX_KEY_CHARS: usize = 100;

/// The insert of a batch.
#[derive(Clone, Copy, Debug)]
pub struct BatchInsert {
    pub began: SystemTime,
    pub committed: SystemTime,
    /// Records of the batch.
    pub records: usize,
}

/// A record of a batch that was stored, or dead-lettered just now.
#[derive(Clone, Copy)]
pub struct ProcessedRecord<'a> {
    pub in_flight: &'a InFlightRecord,
    /// Why it was dead-lettered.
    pub rejected: Option<&'a RejectReason>,
    /// Whether it had a row, which the insert tried to store.
    pub has_row: bool,
}

/// Exports the spans of the orders that this instance processes.
pub struct OrderSpans {
    export: Arc<SpanExport>,
    topic: Arc<str>,
    group: Arc<str>,
}

impl OrderSpans {
    pub fn new(export: Arc<SpanExport>, topic: &str, group: &str) -> Self {
        Self { export, topic: topic.into(), group: group.into() }
    }

    /// Exports the spans of a batch. Does nothing when none of the `records` is sampled.
    pub fn export<'a>(
        &self,
        times: PreparationTimes,
        insert: BatchInsert,
        records: impl Iterator<Item = ProcessedRecord<'a>>,
    ) {
        let mut links = Vec::new();
        for ProcessedRecord { in_flight, rejected, has_row } in records {
            let Some(parent) = in_flight.record.trace_parent() else { continue };
            let context = child_of(&parent);
            if has_row {
                links.push(context.clone());
            }
            let span = FinishedSpan {
                context,
                parent: Some(parent),
                kind: SpanKind::Consumer,
                name: format!("process {}", self.topic).into(),
                start: in_flight.read_at,
                end: if rejected.is_none() { insert.committed } else { SystemTime::now() },
                attributes: self.attributes_of_order(&in_flight.record, rejected),
                events: events(times),
                links: Vec::new(),
                status: rejected.map_or(Status::Unset, |reason| Status::error(reason.to_string())),
            };
            self.export.export(span);
        }
        if !links.is_empty() {
            self.export.export(self.insert(insert, links));
        }
    }

    fn insert(&self, insert: BatchInsert, links: Vec<SpanContext>) -> FinishedSpan {
        let mut attributes = self.attributes();
        attributes.extend([
            KeyValue::new("messaging.batch.message_count", insert.records as i64),
            KeyValue::new("db.system.name", "postgresql"),
            KeyValue::new("db.operation.name", "INSERT"),
            KeyValue::new("db.collection.name", "orders"),
        ]);
        FinishedSpan {
            context: root(),
            parent: None,
            kind: SpanKind::Client,
            name: "INSERT orders".into(),
            start: insert.began,
            end: insert.committed,
            attributes,
            events: Vec::new(),
            links,
            status: Status::Unset,
        }
    }

    fn attributes(&self) -> Vec<KeyValue> {
        vec![
            KeyValue::new("messaging.system", "kafka"),
            KeyValue::new("messaging.operation.name", "process"),
            KeyValue::new("messaging.operation.type", "process"),
            KeyValue::new("messaging.destination.name", self.topic.clone()),
            KeyValue::new("messaging.consumer.group.name", self.group.clone()),
        ]
    }

    fn attributes_of_order(&self, record: &KafkaRecord, rejected: Option<&RejectReason>) -> Vec<KeyValue> {
        let mut attributes = self.attributes();
        attributes.extend([
            KeyValue::new("messaging.destination.partition.id", record.position.partition.to_string()),
            KeyValue::new("messaging.kafka.offset", record.position.offset),
        ]);
        let key = record.key().map(|key| String::from_utf8_lossy(key).chars().take(MAX_KEY_CHARS).collect::<String>());
        attributes.extend(key.map(|key| KeyValue::new("messaging.kafka.message.key", key)));
        attributes.extend(rejected.map(|reason| KeyValue::new("error.type", reason.kind())));
        attributes
    }
}

/// The ends of the steps before the insert.
fn events(PreparationTimes { dequeued, decoded, enriched }: PreparationTimes) -> Vec<Event> {
    let steps = [("dequeued", dequeued), ("decoded", decoded), ("enriched", enriched)];
    steps.map(|(step, time)| Event::new(step, time, Vec::new(), 0)).into()
}
