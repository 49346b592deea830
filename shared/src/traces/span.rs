use std::{borrow::Cow, time::SystemTime};

use opentelemetry::{
    InstrumentationScope, KeyValue,
    trace::{Event, Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

/// Maximum number of links of a span, as in OpenTelemetry's SDKs. Further ones are counted.
const MAX_LINKS: usize = 128;

/// A span that is over.
#[derive(Clone, Debug)]
pub struct FinishedSpan {
    /// The ids of the span. Only a sampled one is exported.
    pub context: SpanContext,
    /// The span of another program that it is a child of.
    pub parent: Option<SpanContext>,
    /// The role of the program.
    pub kind: SpanKind,
    /// What was done, such as `send orders`.
    pub name: Cow<'static, str>,
    /// When it began.
    pub start: SystemTime,
    /// When it was over.
    pub end: SystemTime,
    /// What it was done with.
    pub attributes: Vec<KeyValue>,
    /// What happened in between.
    pub events: Vec<Event>,
    /// Spans of other traces that belong to it.
    pub links: Vec<SpanContext>,
    /// Whether it failed.
    pub status: Status,
}

impl FinishedSpan {
    pub(super) fn into_data(self, instrumentation_scope: InstrumentationScope) -> SpanData {
        let mut events = SpanEvents::default();
        events.events.extend(self.events);
        SpanData {
            parent_span_id: self.parent.as_ref().map_or(SpanId::INVALID, SpanContext::span_id),
            parent_span_is_remote: self.parent.is_some_and(|parent| parent.is_remote()),
            span_context: self.context,
            span_kind: self.kind,
            name: self.name,
            start_time: self.start,
            // A clock that was set back must not make it negative.
            end_time: self.end.max(self.start),
            attributes: self.attributes,
            dropped_attributes_count: 0,
            events,
            links: links(self.links),
            status: self.status,
            instrumentation_scope,
        }
    }
}

fn links(contexts: Vec<SpanContext>) -> SpanLinks {
    let dropped = contexts.len().saturating_sub(MAX_LINKS);
    let mut links = SpanLinks::default();
    links.links.extend(contexts.into_iter().take(MAX_LINKS).map(Link::with_context));
    links.dropped_count = dropped as u32;
    links
}

/// A new context in the trace of `parent`.
pub fn child_of(parent: &SpanContext) -> SpanContext {
    let span = SpanId::from(rand::random::<u64>());
    SpanContext::new(parent.trace_id(), span, parent.trace_flags(), false, TraceState::NONE)
}

/// A new context in a trace of its own, sampled.
pub fn root() -> SpanContext {
    let (trace, span) = (TraceId::from(rand::random::<u128>()), SpanId::from(rand::random::<u64>()));
    SpanContext::new(trace, span, TraceFlags::SAMPLED, false, TraceState::NONE)
}
