//! The export of spans: a bounded queue, and a thread that sends what is in it in batches. A full queue drops spans: a
//! collector that is slow or down never delays an order.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{
        BatchConfigBuilder, BatchSpanProcessor, OTEL_BSP_MAX_QUEUE_SIZE, OTEL_BSP_MAX_QUEUE_SIZE_DEFAULT, SpanData,
        SpanExporter, SpanProcessor,
    },
};

use super::{
    collector::{CollectorClient, LastError},
    outage::ExportOutage,
    queue::SpanQueue,
    settings::{TraceExportSettings, address, request_timeout},
    span::FinishedSpan,
};
use crate::telemetry::ProgramInfo;

/// Timeout of the last export, at the end of the program.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// Exports spans to the collector.
#[derive(Debug)]
pub struct SpanExport {
    processor: BatchSpanProcessor,
    queue: Arc<SpanQueue>,
    scope: InstrumentationScope,
}

impl SpanExport {
    /// Starts the export of the spans of `program`; `instance` tells its processes apart. `None` when the settings name
    /// no collector. The collector is not contacted before there are spans.
    ///
    /// # Errors
    /// When a variable `OTEL_EXPORTER_OTLP_…` is not valid.
    pub fn start(
        settings: &TraceExportSettings,
        program: ProgramInfo,
        instance: String,
    ) -> anyhow::Result<Option<Arc<Self>>> {
        let Some(collector) = settings.collector() else { return Ok(None) };
        let (last_error, timeout) = (LastError::default(), request_timeout(|name| std::env::var(name).ok())?);
        let mut exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_endpoint(collector.as_str())
            .with_protocol(Protocol::HttpBinary)
            .with_http_client(CollectorClient::new(collector, timeout, last_error.clone()))
            .build()
            .context("spans can't be exported")?;
        exporter.set_resource(&resource(program, instance));
        let capacity = queue_capacity();
        let queue = Arc::new(SpanQueue::new(capacity));
        let exporter = Exporter {
            exporter,
            collector: address(collector),
            last_error,
            queue: queue.clone(),
            outage: ExportOutage::default(),
        };
        let config = BatchConfigBuilder::default().with_max_queue_size(capacity).build();
        let processor = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
        let scope = InstrumentationScope::builder("orderflow").with_version(program.version).build();
        Ok(Some(Arc::new(Self { processor, queue, scope })))
    }

    /// Puts a span into the queue, or drops it when the queue is full. Does not block.
    pub fn export(&self, span: FinishedSpan) {
        if self.queue.enqueue() {
            self.processor.on_end(span.into_data(self.scope.clone()));
        }
    }

    /// Exports what is in the queue. What takes too long is lost. Logs how many spans were never exported.
    pub async fn close(self: Arc<Self>) {
        let queue = self.queue.clone();
        let closing = tokio::task::spawn_blocking(move || self.processor.shutdown_with_timeout(CLOSE_TIMEOUT));
        let is_closed = matches!(closing.await, Ok(Ok(())));
        let lost = queue.not_exported();
        if !is_closed {
            tracing::warn!(lost, "traces: the last spans are not exported within {CLOSE_TIMEOUT:?}, and are lost");
        } else if lost > 0 {
            tracing::warn!(lost, "traces: spans were never exported: the collector failed, or was too slow for them");
        }
    }
}

/// How many spans the queue has room for: as many as OpenTelemetry's processor would have by its variable.
fn queue_capacity() -> usize {
    let variable = std::env::var(OTEL_BSP_MAX_QUEUE_SIZE).ok();
    variable.and_then(|size| size.parse().ok()).unwrap_or(OTEL_BSP_MAX_QUEUE_SIZE_DEFAULT)
}

fn resource(program: ProgramInfo, instance: String) -> Resource {
    Resource::builder()
        .with_attributes([
            KeyValue::new("service.namespace", "orderflow"),
            KeyValue::new("service.name", program.program),
            KeyValue::new("service.version", program.version),
            KeyValue::new("service.instance.id", instance),
        ])
        .build()
}

/// The exporter of OpenTelemetry, whose failures are logged.
#[derive(Debug)]
struct Exporter {
    exporter: opentelemetry_otlp::SpanExporter,
    collector: String,
    last_error: LastError,
    queue: Arc<SpanQueue>,
    outage: ExportOutage,
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let exported = self.exporter.export(batch).await;
        match &exported {
            Ok(()) => {
                self.queue.exported(spans);
                self.outage.succeeded(self.queue.lost());
            }
            Err(error) => {
                self.queue.failed(spans);
                let error = self.last_error.take().unwrap_or_else(|| error.to_string());
                self.outage.failed(&self.collector, error);
            }
        }
        exported
    }
}
