//! The producer, `kafka-producer-perf-test` and a bare librdkafka loop, with the same number of bytes per record
//! (key, header and value together), `acks=all`, idempotence, replication 3 and lz4 for each.

use std::{path::PathBuf, process::Stdio, sync::Arc};

use anyhow::{Context, bail, ensure};
use rdkafka::admin::{AdminClient, AdminOptions};
use serde::Serialize;
use shared::{
    kafka::ensure_topic, ledger::RunSummary, order_id::RunTag, program::Outcome, report::Report,
    services::ServiceSettings,
};
use tokio_util::sync::CancellationToken;

use super::{
    bare_loop,
    encoded_order::{EncodedOrder, encode_orders},
    perf_test,
    report::{median, print},
};
use crate::{
    interruptible::run_to_end,
    process::{command, kafka_config_arguments},
    settings::ProducerBenchSettings,
};

/// Orders that are encoded in advance; perf-test and the bare loop repeat them.
const ENCODED_ORDERS: usize = 200_000;

/// Records per second of each program in one round.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct BenchRound {
    producer: f64,
    bare_librdkafka: f64,
    perf_test: f64,
}

/// The producer's throughput divided by that of the other program: medians of the rounds' ratios.
#[derive(Clone, Copy, Debug, Serialize)]
struct Ratios {
    perf_test: f64,
    bare_librdkafka: f64,
}

#[derive(Debug, Serialize)]
struct ProducerBenchResult {
    orders: u64,
    #[serde(rename = "bytes_a_record")]
    bytes_per_record: f64,
    rounds: Vec<BenchRound>,
    ratios: Ratios,
}

/// The data that all rounds share.
struct Bench<'settings> {
    settings: &'settings ProducerBenchSettings,
    /// The services, with the bench's own topic.
    services: ServiceSettings,
    partitions: usize,
    records: Arc<Vec<EncodedOrder>>,
    payloads: PathBuf,
    runs_dir: PathBuf,
}

/// Runs the rounds and prints the ratios. The bench's topic is deleted in any case, on `stop` too.
///
/// # Errors
/// When a program fails, or not all of its records are acknowledged, or on `stop`.
pub async fn bench_producer(settings: ProducerBenchSettings, stop: &CancellationToken) -> anyhow::Result<Outcome> {
    let mut services = settings.services.clone();
    services.topic.topic = format!("bench.{}", RunTag::random());
    let (kafka, topic) = (services.kafka.clone(), services.topic.topic.clone());
    let partitions = ensure_topic(&kafka, &services.topic.orders()).await?;
    let measured = stop.run_until_cancelled(measure(&settings, services, partitions)).await;
    let admin: AdminClient<_> = kafka.client(&[]).create()?;
    let deleted = admin.delete_topics(&[&topic], &AdminOptions::new()).await;
    deleted.with_context(|| format!("the bench's topic {topic} can't be deleted"))?;
    print(&measured.context("interrupted")??, settings.output, report)?;
    Ok(Outcome::Valid)
}

async fn measure(
    settings: &ProducerBenchSettings,
    services: ServiceSettings,
    partitions: usize,
) -> anyhow::Result<ProducerBenchResult> {
    let folder = tempfile::tempdir()?;
    let records = encode_orders(ENCODED_ORDERS);
    let bytes_per_record = records.iter().map(EncodedOrder::bytes).sum::<usize>() as f64 / records.len() as f64;
    let payloads = perf_test::write_payloads(folder.path(), &records)?;
    let runs_dir = folder.path().to_owned();
    let bench = Bench { settings, services, partitions, records, payloads, runs_dir };
    let mut rounds = Vec::new();
    // Round 0 is not measured: it warms up the brokers, whose JVM compiles its code while they work.
    for number in 0..=settings.rounds {
        let round = bench.round(number).await?;
        let BenchRound { producer, bare_librdkafka, perf_test } = round;
        tracing::info!(
            "round {number}: producer {producer:.0}/s, bare loop {bare_librdkafka:.0}/s, perf-test {perf_test:.0}/s"
        );
        rounds.extend((number > 0).then_some(round));
    }
    let ratio =
        |other: fn(&BenchRound) -> f64| median(rounds.iter().map(|round| round.producer / other(round)).collect());
    let ratios =
        Ratios { perf_test: ratio(|round| round.perf_test), bare_librdkafka: ratio(|round| round.bare_librdkafka) };
    Ok(ProducerBenchResult { orders: settings.orders, bytes_per_record, rounds, ratios })
}

impl Bench<'_> {
    /// Runs each program once. The order rotates with the number of the round, because the brokers are warmer for the
    /// last one.
    async fn round(&self, number: u32) -> anyhow::Result<BenchRound> {
        let mut round = BenchRound::default();
        for position in 0..3 {
            match (position + number) % 3 {
                0 => round.producer = self.run_producer().await?,
                1 => round.bare_librdkafka = self.run_bare_loop().await?,
                _ => {
                    round.perf_test = perf_test::run(self.settings, &self.services.topic.topic, &self.payloads).await?;
                }
            }
        }
        Ok(round)
    }

    async fn run_producer(&self) -> anyhow::Result<f64> {
        let orders = self.settings.orders;
        let mut producer = command("producer")?;
        producer.args(["--rate", "max", "--count", &orders.to_string(), "--output", "json", "--runs-dir"]);
        producer.arg(&self.runs_dir).args(kafka_config_arguments(&self.services.kafka));
        producer.envs(self.services.environment()).stderr(Stdio::piped()).stdout(Stdio::piped());
        let output = run_to_end("the producer", producer).await?;
        if !output.status.success() {
            bail!("the producer failed, {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        let summary: RunSummary =
            serde_json::from_slice(&output.stdout).context("the producer's summary can't be parsed")?;
        let acknowledged = summary.counts.acknowledged;
        ensure!(acknowledged == orders, "producer: only {acknowledged} of {orders} orders are acknowledged");
        Ok(summary.rate_achieved)
    }

    async fn run_bare_loop(&self) -> anyhow::Result<f64> {
        let (kafka, topic) = (&self.services.kafka, &self.services.topic.topic);
        bare_loop::send(kafka, topic, self.partitions, self.records.clone(), self.settings.orders).await
    }
}

fn report(result: &ProducerBenchResult) -> Report {
    let mut report = Report::about("producer", &format!("{} orders per round", result.orders));
    let speed = |of: fn(&BenchRound) -> f64| format!("{:.0}/s", median(result.rounds.iter().map(of).collect()));
    let ratios = result.ratios;
    let ratio = |ratio: f64| format!("the producer is {ratio:.2} × as fast");
    report.line("producer --rate max", speed(|round| round.producer), "generates its orders while it sends");
    report.line("kafka-producer-perf-test", speed(|round| round.perf_test), ratio(ratios.perf_test));
    report.line("bare librdkafka loop", speed(|round| round.bare_librdkafka), ratio(ratios.bare_librdkafka));
    report.line("bytes per record", format!("{:.1}", result.bytes_per_record), "key, header and value");
    report
}
