//! The span of a sampled order: from its due time to the delivery report of its record.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use shared::{
    ledger::Run,
    order_id::{OrderId, RunTag, Sequence},
    traces::{Event, FinishedSpan, KeyValue, SpanExport, SpanKind, Status},
};

use crate::{clock::RunClock, pace::Order, trace_sampler::TraceSampler};

/// Exports the spans of a run.
pub struct OrderSpans {
    sampler: TraceSampler,
    export: Arc<SpanExport>,
    clock: RunClock,
    tag: RunTag,
    run_id: Arc<str>,
    topic: Arc<str>,
}

/// How the sending of an order ended.
#[derive(Clone, Copy, Debug)]
pub enum SpanOutcome<'a> {
    Acknowledged {
        partition: i32,
        offset: i64,
    },
    /// Failed or unknown, with the name of the error.
    NotAcknowledged(&'a str),
}

impl OrderSpans {
    pub fn new(sampler: TraceSampler, export: Arc<SpanExport>, clock: RunClock, run: &Run) -> Self {
        let (run_id, topic) = (run.run_id.to_string().into(), run.topic.as_str().into());
        Self { sampler, export, clock, tag: run.tag, run_id, topic }
    }

    /// Exports the span of an order, if it is sampled. Times are nanoseconds after the start.
    pub fn export(&self, order: Order, enqueued: i64, ended: i64, outcome: SpanOutcome<'_>) {
        let Some(sequence) = Sequence::new(order.number) else { return };
        let id = OrderId::new(self.clock.unix_nanos(order.due), self.tag, sequence);
        let Some(context) = self.sampler.span_of(id) else { return };
        let (mut attributes, mut status) = (self.attributes(id), Status::Unset);
        match outcome {
            SpanOutcome::Acknowledged { partition, offset } => attributes.extend([
                KeyValue::new("messaging.destination.partition.id", partition.to_string()),
                KeyValue::new("messaging.kafka.offset", offset),
            ]),
            SpanOutcome::NotAcknowledged(error) => {
                attributes.push(KeyValue::new("error.type", error.to_owned()));
                status = Status::error("the brokers did not acknowledge the order");
            }
        }
        self.export.export(FinishedSpan {
            context,
            parent: None,
            kind: SpanKind::Producer,
            name: format!("send {}", self.topic).into(),
            start: self.time(order.due),
            end: self.time(ended.max(0).cast_unsigned()),
            attributes,
            events: vec![Event::new("enqueued", self.time(enqueued.max(0).cast_unsigned()), Vec::new(), 0)],
            links: Vec::new(),
            status,
        });
    }

    fn attributes(&self, id: OrderId) -> Vec<KeyValue> {
        vec![
            KeyValue::new("messaging.system", "kafka"),
            KeyValue::new("messaging.operation.name", "send"),
            KeyValue::new("messaging.operation.type", "send"),
            KeyValue::new("messaging.destination.name", self.topic.clone()),
            KeyValue::new("messaging.kafka.message.key", id.to_string()),
            KeyValue::new("orderflow.run.id", self.run_id.clone()),
        ]
    }

    fn time(&self, nanos: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.clock.unix_nanos(nanos))
    }
}
