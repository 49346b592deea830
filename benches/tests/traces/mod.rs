//! Traces of orders, from the producer's span to the insert, as a collector receives them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    process::Output,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, routing::post};
use benches::{
    metrics,
    process::{Program, command, free_address},
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use prost::Message;
use shared::{
    kafka::ensure_topic,
    ledger::{RunSummary, RunsFolder},
};
use testbed::Testbed;

use super::scenario::TIMEOUT;

/// An OpenTelemetry collector that keeps what it receives.
struct Collector {
    address: SocketAddr,
    received: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
}

/// A span, and the program that it is of.
struct ReceivedSpan {
    program: String,
    span: Span,
}

/// The ids of a span: its trace, and itself.
type Context = (Vec<u8>, Vec<u8>);

impl Collector {
    async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    async fn start_at(address: SocketAddr) -> Self {
        let received = Arc::<Mutex<Vec<ExportTraceServiceRequest>>>::default();
        let requests = received.clone();
        let keep = move |body: Bytes| {
            requests.lock().unwrap().push(ExportTraceServiceRequest::decode(body).unwrap());
            std::future::ready(())
        };
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/v1/traces", post(keep))).await });
        Self { address, received }
    }

    fn spans(&self) -> Vec<ReceivedSpan> {
        let mut spans = Vec::new();
        for resource_spans in self.received.lock().unwrap().iter().flat_map(|request| request.resource_spans.clone()) {
            let program = attribute(&resource_spans.resource.unwrap().attributes, "service.name").unwrap();
            let received = resource_spans.scope_spans.into_iter().flat_map(|scope_spans| scope_spans.spans);
            spans.extend(received.map(|span| ReceivedSpan { program: program.clone(), span }));
        }
        spans
    }
}

impl ReceivedSpan {
    fn context(&self) -> Context {
        (self.span.trace_id.clone(), self.span.span_id.clone())
    }

    fn parent(&self) -> Context {
        (self.span.trace_id.clone(), self.span.parent_span_id.clone())
    }

    fn attribute(&self, key: &str) -> Option<String> {
        attribute(&self.span.attributes, key)
    }

    fn is_error(&self) -> bool {
        self.span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error)
    }
}

fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Sends this number of orders within half a second, or as long as it takes.
async fn send(
    orders: u32,
    environment: Vec<(String, String)>,
    arguments: &'static [&'static str],
) -> (RunSummary, Output) {
    let sending = move || {
        let mut producer = command("producer").unwrap();
        producer.args(["--rate", &(2 * orders).to_string(), "--count", &orders.to_string()]);
        producer.args(["--catch-up", "1m", "--output", "json"]).args(arguments).envs(environment).output().unwrap()
    };
    let output = tokio::task::spawn_blocking(sending).await.unwrap();
    let summary = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (summary, output)
}

/// A consumer that exports spans, and the address of its metrics.
fn start_consumer(bed: &Testbed, environment: &[(String, String)]) -> (Program, SocketAddr) {
    let address = free_address().unwrap();
    let listen = ["--listen", &address.to_string()];
    (Program::start("consumer", "consumer", listen, environment, bed.folder()).unwrap(), address)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_consumer_continues_the_trace_of_a_sampled_order_and_its_insert_links_to_it() {
    let bed = Testbed::new("traces").await;
    testbed::fill_cache(&bed).await;
    for topic in [bed.topic.orders(), bed.topic.dead_letters()] {
        ensure_topic(&bed.kafka, &topic).await.unwrap();
    }
    let collector = Collector::start().await;
    let mut environment = bed.environment();
    environment.push(("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), format!("http://{}", collector.address)));
    let (consumer, address) = start_consumer(&bed, &environment);
    send(200, environment.clone(), &[]).await;
    let traced = &["--trace-sample", "50%", "--invalid", "20%", "--run-id", "traced"];
    let (summary, _) = send(200, environment, traced).await;
    assert_eq!((summary.counts.acknowledged, summary.counts.invalid > 0), (200, true));
    testbed::eventually("all orders are committed", TIMEOUT, async || {
        let stored = metrics::value(address, consumer::metrics::STORED).await.unwrap_or(0.0);
        stored + metrics::value(address, consumer::metrics::DEAD_LETTERED).await.unwrap_or(0.0) == 400.0
    })
    .await;
    tokio::task::spawn_blocking(move || consumer.stop()).await.unwrap().unwrap();

    let spans = collector.spans();
    let named = |program: &str, name: &str, kind: SpanKind| -> BTreeMap<Context, &ReceivedSpan> {
        let of = |received: &&ReceivedSpan| {
            received.program == program && received.span.name == name && received.span.kind() == kind
        };
        spans.iter().filter(of).map(|received| (received.context(), received)).collect()
    };
    let topic = &bed.topic.topic;
    let sent = named("producer", &format!("send {topic}"), SpanKind::Producer);
    let processed = named("consumer", &format!("process {topic}"), SpanKind::Consumer);
    let inserts = named("consumer", "INSERT orders", SpanKind::Client);
    assert_eq!(spans.len(), sent.len() + processed.len() + inserts.len());
    assert!((50..150).contains(&sent.len()) && processed.len() == sent.len(), "{} {}", sent.len(), processed.len());

    for process in processed.values() {
        let send = sent[&process.parent()];
        for key in ["messaging.destination.partition.id", "messaging.kafka.offset", "messaging.kafka.message.key"] {
            assert!(send.attribute(key).is_some() && send.attribute(key) == process.attribute(key), "{key}");
        }
        assert_eq!(send.attribute("orderflow.run.id").as_deref(), Some("traced"));
        assert!(!send.is_error() && process.is_error() == process.attribute("error.type").is_some());
        assert!(send.span.start_time_unix_nano <= process.span.start_time_unix_nano);
        let steps: Vec<&str> = process.span.events.iter().map(|event| event.name.as_str()).collect();
        assert_eq!(steps, ["dequeued", "decoded", "enriched"]);
    }
    // The invalid orders have no row.
    let stored = processed.iter().filter(|(_, process)| !process.is_error());
    let stored: BTreeSet<Context> = stored.map(|(context, _)| context.clone()).collect();
    assert!((1..processed.len()).contains(&stored.len()), "{} of {} are stored", stored.len(), processed.len());
    assert!(inserts.values().all(|insert| !insert.span.links.is_empty()));
    let links = inserts.values().flat_map(|insert| &insert.span.links);
    let linked: Vec<Context> = links.map(|link| (link.trace_id.clone(), link.span_id.clone())).collect();
    assert_eq!(linked.len(), stored.len());
    assert_eq!(BTreeSet::from_iter(linked), stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_down_is_reported_once_and_costs_no_order() {
    let bed = Testbed::new("no_collector").await;
    testbed::fill_cache(&bed).await;
    let mut environment = bed.environment();
    let nobody = format!("http://{}", free_address().unwrap());
    environment.push(("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), nobody));
    // More than the queue has room for: some fail in one of several exports, and some find the queue full.
    let (summary, output) = send(4_000, environment, &["--trace-sample", "100%"]).await;
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(summary.counts.acknowledged, 4_000, "{log}");
    assert_eq!(log.matches("traces: spans can't be exported to http://127.0.0.1:").count(), 1, "{log}");
    assert!(log.contains("refused"), "{log}");
    assert_eq!(log.matches("lost=4000").count(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_span_is_exported_to_a_collector_that_comes_late_or_counted_as_lost() {
    let bed = Testbed::new("late_collector").await;
    let address = free_address().unwrap();
    let mut environment = bed.environment();
    environment.push(("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), format!("http://{address}")));
    environment.push(("OTEL_BSP_SCHEDULE_DELAY".to_owned(), "200".to_owned()));
    let arguments = ["--source", "builtin", "--rate", "100", "--catch-up", "1m", "--trace-sample", "100%"];
    let arguments = arguments.into_iter().chain(["--run-id", "late"]);
    let mut producer = Program::start("producer", "producer", arguments, &environment, bed.folder()).unwrap();
    let fails = async || producer.log().contains("traces: spans can't be exported to");
    testbed::eventually("the outage is logged", TIMEOUT, fails).await;
    let collector = Collector::start_at(address).await;
    let works_again = async || producer.log().contains("traces: spans are exported again");
    testbed::eventually("its end is logged", TIMEOUT, works_again).await;
    producer.request_stop().unwrap();
    let (ended, log) = tokio::task::spawn_blocking(move || (producer.wait(TIMEOUT), producer.log())).await.unwrap();
    assert!(ended.is_ok() && log.matches("traces: spans can't be exported to").count() == 1, "{log}");
    let line = log.lines().find(|line| line.contains("traces: spans were never exported")).unwrap();
    let (_, lost) = line.rsplit_once("lost=").unwrap();
    let lost: usize = lost.parse().unwrap();
    let run = RunsFolder { runs_dir: bed.runs() }.read(&"late".parse().unwrap()).unwrap().remove(0);
    let sent = run.journal.acknowledged.len() as usize;
    assert_eq!((lost > 0, lost + collector.spans().len()), (true, sent), "{log}");
}
