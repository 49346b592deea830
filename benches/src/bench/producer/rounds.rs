//! The steps of `bench producer`, in order.

use std::{collections::BTreeMap, sync::mpsc::Receiver};

use anyhow::{Context, ensure};
use rdkafka::{
    admin::{AdminClient, AdminOptions},
    types::RDKafkaErrorCode,
};
use shared::{kafka::ensure_topic, order_id::RunTag, program::Outcome};
use tokio_util::sync::CancellationToken;

use super::{
    contestant::{Contest, Contestant},
    log_size, perf_test,
    result::{ProducerBenchResult, Round},
    timed::{Timed, TopicEnds, time},
};
use crate::{
    bench::{
        compiler::warn_of_quick_compiler,
        contest::{places, warn_of_incomplete_square},
        cpu::CpuMeter,
        encoded_order::{ENCODED_ORDERS, EncodedOrder, encode_orders},
        plaintext::require_plaintext,
        progress::BenchProgress,
        report::print,
        same_cluster::require_same_cluster,
        timeouts::SEND_TIMEOUT,
    },
    dirty_pages::write_dirty_pages,
    interruptible::run_blocking,
    process::Program,
    settings::ProducerBenchSettings,
};

/// Runs the rounds and prints the ratios. The topics are deleted in any case, on `stop` too.
///
/// # Errors
/// When a program fails, or not all of its records arrive, or on `stop`.
pub async fn bench_producer(settings: ProducerBenchSettings, stop: &CancellationToken) -> anyhow::Result<Outcome> {
    require_plaintext(&settings.services.kafka)?;
    require_same_cluster(&settings.services.kafka, &settings.stack).await?;
    warn_of_incomplete_square(settings.rounds, Contestant::ALL.len());
    warn_of_quick_compiler(&settings.stack);
    let mut rounds = Rounds { prefix: format!("bench.{}", RunTag::random()), topics: Vec::new() };
    let measured = stop.run_until_cancelled(rounds.run(&settings)).await;
    let deleted = rounds.delete_topics(&settings).await;
    print(&measured.context("interrupted")??, settings.output, ProducerBenchResult::to_string)?;
    deleted?;
    Ok(Outcome::Valid)
}

struct Rounds {
    prefix: String,
    /// Those that were created.
    topics: Vec<String>,
}

impl Rounds {
    async fn run(&mut self, settings: &ProducerBenchSettings) -> anyhow::Result<ProducerBenchResult> {
        let folder = tempfile::TempDir::with_prefix("orderflow-bench-")?;
        let records = encode_orders(ENCODED_ORDERS);
        let bytes_per_record = records.iter().map(EncodedOrder::bytes).sum::<usize>() as f64 / records.len() as f64;
        let payloads = perf_test::write_payloads(folder.path(), &records)?;
        drop(records);
        let contest = Contest { settings, payloads, folder: folder.path().to_owned() };
        let progress = BenchProgress::new((settings.rounds as usize + 1) * Contestant::ALL.len());
        let (mut rounds, mut log_bytes) = (Vec::new(), BTreeMap::new());
        // Round 0 is not measured: it warms up the brokers, whose JVM compiles its code while they work.
        for number in 0..=settings.rounds {
            let mut round = Round::new();
            for contestant in places(&Contestant::ALL, number) {
                progress.begin(number, contestant.name());
                let (topic, timed) = self.send(&contest, contestant).await?;
                let of_brokers = timed.cpu.brokers.map_or_else(String::new, |cpu| format!(", brokers {cpu:.2}"));
                progress.end(
                    number,
                    contestant.name(),
                    &format!("CPU s per million: {:.2}{of_brokers}", timed.cpu.clients),
                    timed.records_per_second,
                );
                round.insert(contestant, timed);
                if number == 0 {
                    let replicas = settings.services.topic.replication;
                    log_bytes.insert(contestant, log_size::bytes_per_record(settings, &topic, replicas).await?);
                }
                self.delete_topics(settings).await?;
            }
            rounds.extend((number > 0).then_some(round));
        }
        progress.finish();
        ProducerBenchResult::new(settings.orders, bytes_per_record, rounds, &log_bytes).context("no round was measured")
    }

    /// One slot of a round. Returns its topic, too.
    async fn send(&mut self, contest: &Contest<'_>, contestant: Contestant) -> anyhow::Result<(String, Timed)> {
        let topic = format!("{}.{}", self.prefix, RunTag::random());
        self.topics.push(topic.clone());
        let services = &contest.settings.services;
        let (kafka, mut spec) = (&services.kafka, services.topic.clone());
        spec.topic.clone_from(&topic);
        let partitions = ensure_topic(kafka, &spec.orders()).await?;
        let ends = TopicEnds::new(kafka, &topic, partitions)?;
        let settings = contest.settings;
        write_dirty_pages().await?;
        let mut program = Program::spawn(&topic, contest.command(contestant, &topic)?, &contest.folder)?;
        let mut meter = CpuMeter::new([program.pid()], &settings.stack)?;
        let (orders, stop) = (settings.orders, CancellationToken::new());
        let stopped = stop.clone();
        let timing = move || {
            let timed = time(&mut program, &ends, &mut meter, orders, &stopped)?;
            program.wait_for_success()?;
            anyhow::Ok(timed)
        };
        let end = |ended: &Receiver<()>| {
            stop.cancel();
            let _ = ended.recv_timeout(SEND_TIMEOUT);
        };
        let timed = run_blocking(timing, end).await?.with_context(|| contestant.name())?;
        Ok((topic, timed))
    }

    async fn delete_topics(&mut self, settings: &ProducerBenchSettings) -> anyhow::Result<()> {
        if self.topics.is_empty() {
            return Ok(());
        }
        let admin: AdminClient<_> = settings.services.kafka.client(&[]).create()?;
        let names: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        let deleted = admin.delete_topics(&names, &AdminOptions::new()).await;
        let deleted = deleted.with_context(|| format!("the bench's topics {} can't be deleted", names.join(", ")))?;
        for (topic, error) in deleted.into_iter().filter_map(Result::err) {
            // One that could not be created is not there.
            ensure!(
                error == RDKafkaErrorCode::UnknownTopicOrPartition,
                "the bench's topic {topic} can't be deleted: {error}"
            );
        }
        self.topics.clear();
        Ok(())
    }
}
