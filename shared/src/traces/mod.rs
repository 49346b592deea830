//! Traces: spans of the orders that the producer samples, exported to an OpenTelemetry collector.
//!
//! A record of a sampled order has the context of the producer's span in its [header](TRACEPARENT_HEADER), by which the
//! consumer's span becomes a child of it. Both programs create a span when it is over: a [`FinishedSpan`] goes to the
//! [`SpanExport`], which sends it to the collector that the [`TraceExportSettings`] name. No tracer creates the spans:
//! the context of an order's span is in its record before its outcome is known, and follows from the order's id.

mod collector;
mod export;
mod outage;
mod queue;
mod settings;
mod span;
mod traceparent;

pub use opentelemetry::{
    KeyValue,
    trace::{Event, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};

pub use self::{
    export::SpanExport,
    settings::{CollectorUrl, TraceExportSettings},
    span::{FinishedSpan, child_of, root},
    traceparent::{TRACEPARENT_HEADER, decode_traceparent, encode_traceparent},
};
