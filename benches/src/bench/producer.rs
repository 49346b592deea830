//! The producer against Kafka's own `kafka-producer-perf-test` and against a bare loop around librdkafka, with the same
//! bytes a record (key, header and value together), `acks=all`, idempotence, replication 3 and lz4 for each.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, bail, ensure};
use rdkafka::admin::{AdminClient, AdminOptions};
use secrecy::ExposeSecret;
use serde::Serialize;
use shared::{kafka::ensure_topic, ledger::RunSummary, order_id::RunTag, program::Outcome, report::Report};

use super::{bare_loop, median, perf_test, print};
use crate::{programs::command, settings::ProducerBenchSettings};

/// Records made beforehand; the loops go through them again and again.
const RECORDS: usize = 200_000;

/// Records a second of each, in one round.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Round {
    producer: f64,
    bare_librdkafka: f64,
    perf_test: f64,
}

/// Our speed over the others': medians of the rounds' ratios.
#[derive(Clone, Copy, Debug, Serialize)]
struct Ratios {
    perf_test: f64,
    bare_librdkafka: f64,
}

#[derive(Debug, Serialize)]
struct Result {
    orders: u64,
    bytes_a_record: f64,
    rounds: Vec<Round>,
    ratios: Ratios,
}

/// Runs the rounds and prints the ratios.
///
/// # Errors
/// When a contestant fails, or does not get all of its records acknowledged.
pub async fn bench_producer(settings: ProducerBenchSettings) -> anyhow::Result<Outcome> {
    let tag = RunTag::random();
    let mut topic = settings.topic.clone();
    topic.topic = format!("bench.{tag}");
    let partitions = ensure_topic(&settings.kafka, &topic.orders()).await?;
    let measured = measure(&settings, &topic.topic, partitions).await;
    let admin: AdminClient<_> = settings.kafka.client(&[]).create()?;
    admin.delete_topics(&[&topic.topic], &AdminOptions::new()).await.context("the bench's topic can't be deleted")?;
    let result = measured?;
    print(&result, settings.output, report)?;
    Ok(Outcome::Valid)
}

async fn measure(settings: &ProducerBenchSettings, topic: &str, partitions: usize) -> anyhow::Result<Result> {
    let folder = tempfile::tempdir()?;
    let records = bare_loop::records(RECORDS);
    let bytes_a_record = records.iter().map(bare_loop::Record::bytes).sum::<usize>() as f64 / records.len() as f64;
    let payloads = perf_test::write_payloads(folder.path(), &records)?;
    let mut rounds = Vec::new();
    // The first round warms the brokers up: they compile their own code as they go.
    for number in 0..=settings.rounds {
        let mut round = Round::default();
        // The brokers are warmer for whoever comes later: each has each place in turn.
        for place in 0..3 {
            match (place + number) % 3 {
                0 => round.producer = ours(settings, topic, folder.path()).await?,
                1 => {
                    let (client, looped, orders) =
                        (bare_loop::config(&settings.kafka), records.clone(), settings.orders);
                    let name = topic.to_owned();
                    let looping = move || bare_loop::run(&client, &name, partitions, &looped, orders);
                    round.bare_librdkafka = tokio::task::spawn_blocking(looping).await??;
                }
                _ => round.perf_test = perf_test::run(settings, topic, &payloads).await?,
            }
        }
        let Round { producer, bare_librdkafka, perf_test } = round;
        tracing::info!(
            "round {number}: producer {producer:.0}/s, bare loop {bare_librdkafka:.0}/s, perf-test {perf_test:.0}/s"
        );
        if number > 0 {
            rounds.push(round);
        }
    }
    let ratio = |other: fn(&Round) -> f64| median(rounds.iter().map(|round| round.producer / other(round)).collect());
    let ratios =
        Ratios { perf_test: ratio(|round| round.perf_test), bare_librdkafka: ratio(|round| round.bare_librdkafka) };
    Ok(Result { orders: settings.orders, bytes_a_record, rounds, ratios })
}

async fn ours(settings: &ProducerBenchSettings, topic: &str, runs: &std::path::Path) -> anyhow::Result<f64> {
    let mut producer = tokio::process::Command::from(command("producer")?);
    producer.args(["--rate", "max", "--count", &settings.orders.to_string(), "--output", "json", "--topic", topic]);
    for (key, value) in &settings.kafka.extra {
        producer.args(["--kafka-config", &format!("{key}={value}")]);
    }
    producer.envs(settings.kafka.environment()).env("REDIS_URL", settings.cache.redis_url.expose_secret());
    producer.args(["--redis-prefix", &settings.cache.redis_prefix, "--runs-dir"]).arg(runs);
    let output = producer.stdin(Stdio::null()).stderr(Stdio::piped()).stdout(Stdio::piped()).output().await?;
    if !output.status.success() {
        bail!("the producer failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    let summary: RunSummary = serde_json::from_slice(&output.stdout).context("the producer's summary can't be read")?;
    ensure!(summary.counts.acknowledged == settings.orders, "not every order was acknowledged");
    Ok(summary.rate_achieved)
}

fn report(result: &Result) -> Report {
    let mut report = Report::about("producer", &format!("{} orders a round", result.orders));
    let speed = |of: fn(&Round) -> f64| format!("{:.0}/s", median(result.rounds.iter().map(of).collect()));
    report.line("producer --rate max", speed(|round| round.producer), "makes its orders as it goes");
    let ratios = result.ratios;
    let times = |ratio: f64| format!("producer is {ratio:.2} ×");
    report.line("kafka-producer-perf-test", speed(|round| round.perf_test), times(ratios.perf_test));
    report.line("bare librdkafka loop", speed(|round| round.bare_librdkafka), times(ratios.bare_librdkafka));
    report.line("bytes a record", format!("{:.1}", result.bytes_a_record), "key, header and value, the same for each");
    report
}

/// Longest time that a contestant may take for one round.
pub const PATIENCE: Duration = Duration::from_secs(300);
