//! The steps of `bench latency`, in order.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use chrono::TimeDelta;
use producer::send::client::default_linger;
use shared::{database::connect, program::Outcome, services::ServiceSettings};
use tokio_util::sync::CancellationToken;

use super::{
    commit_times::{Behind, due_to_commit, require_commit_timestamps},
    contestant::Contestant,
    paced::{Paced, producer, summary},
    percentiles::Percentiles,
    result::{LatencyBenchResult, Measured, Round},
    sinks::RunningSink,
    stages::consumer_stages,
};
use crate::{
    bench::{
        compiler::warn_of_quick_compiler,
        connect::ConnectWorker,
        contest::{places, warn_of_incomplete_square},
        cpu::CpuMeter,
        encoded_order::{ENCODED_ORDERS, encode_orders},
        environment::BenchEnvironment,
        peers::install_peers,
        plaintext::require_plaintext,
        producer::perf_test::{PerfTest, write_payloads},
        progress::BenchProgress,
        report::print,
        same_cluster::require_same_cluster,
        sink::fill_rate::{count_events, empty_table},
    },
    dirty_pages::write_dirty_pages,
    settings::LatencyBenchSettings,
};

/// Of each contestant in the round that warms up and is not measured.
const WARM_UP_ROUND: Duration = Duration::from_secs(20);
/// From the end of the producer until all its orders are stored.
const STORED_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Runs the rounds and prints the latencies.
///
/// # Errors
/// When a service or a program fails, or not every order is stored, or on `stop`.
pub async fn bench_latency(settings: LatencyBenchSettings, stop: &CancellationToken) -> anyhow::Result<Outcome> {
    require_plaintext(&settings.services.kafka)?;
    require_same_cluster(&settings.services.kafka, &settings.stack).await?;
    warn_of_incomplete_square(settings.rounds, Contestant::ALL.len());
    warn_of_quick_compiler(&settings.stack);
    stop.run_until_cancelled(install_peers(&settings.peers)).await.context("interrupted")??;
    let mut bench = BenchEnvironment::create(&settings.services).await?;
    let measured = stop.run_until_cancelled(measure(&mut bench, &settings)).await;
    let deleted = bench.delete().await;
    print(&measured.context("interrupted")??, settings.output, LatencyBenchResult::to_string)?;
    deleted?;
    Ok(Outcome::Valid)
}

async fn measure(bench: &mut BenchEnvironment, settings: &LatencyBenchSettings) -> anyhow::Result<LatencyBenchResult> {
    require_commit_timestamps(&bench.database).await?;
    bench.run("orderdb", &["migrate", "up"]).await?;
    bench.run("orderdb", &["seed"]).await?;
    // Debezium does not enrich.
    let nullable = ["category", "user_region", "user_gender", "user_age_group"];
    let nullable = nullable.map(|column| format!("ALTER COLUMN {column} DROP NOT NULL")).join(", ");
    connect(&bench.database).await?.batch_execute(&format!("ALTER TABLE orders {nullable}")).await?;
    let payloads = write_payloads(bench.folder.path(), &encode_orders(ENCODED_ORDERS))?;
    let mut worker = ConnectWorker::start(bench, &settings.peers).await?;
    let rounds = run_rounds(bench, settings, payloads, &mut worker).await;
    let stopped = worker.stop().await;
    let rounds = rounds?;
    stopped?;
    LatencyBenchResult::new(settings.rate, settings.duration, rounds).context("no round was measured")
}

async fn run_rounds(
    bench: &mut BenchEnvironment,
    settings: &LatencyBenchSettings,
    payloads: PathBuf,
    worker: &mut ConnectWorker,
) -> anyhow::Result<Vec<Round>> {
    let progress = BenchProgress::new((settings.rounds as usize + 1) * Contestant::ALL.len());
    let mut rounds = Vec::new();
    for number in 0..=settings.rounds {
        let mut settings = settings.clone();
        if number == 0 {
            settings.duration = settings.duration.min(WARM_UP_ROUND);
        }
        let mut round = Round::new();
        for contestant in places(&Contestant::ALL, number) {
            progress.begin(number, contestant.name());
            let mut slot = Slot::new(bench, &settings).await?;
            let measured = match contestant {
                Contestant::Producer => slot.producer().await,
                Contestant::PerfTest => slot.perf_test(&payloads).await,
                sink => slot.sink(sink, worker, if number == 0 { Behind::Accepted } else { Behind::Refused }).await,
            };
            let measured = measured.with_context(|| contestant.name())?;
            progress.end_latency(number, contestant.name(), measured.latency.p50, measured.latency.p99);
            round.insert(contestant, measured);
        }
        rounds.extend((number > 0).then_some(round));
    }
    progress.finish();
    Ok(rounds)
}

/// One contestant in one round, with a topic of its own.
struct Slot<'bench> {
    bench: &'bench BenchEnvironment,
    settings: &'bench LatencyBenchSettings,
    services: ServiceSettings,
    runs: PathBuf,
}

impl<'bench> Slot<'bench> {
    async fn new(bench: &'bench mut BenchEnvironment, settings: &'bench LatencyBenchSettings) -> anyhow::Result<Self> {
        bench.run("cache-worker", &["--once"]).await?;
        empty_table(bench).await?;
        write_dirty_pages().await?;
        let services = bench.services_of_new_topic().await?;
        let runs = bench.folder.path().join("runs");
        Ok(Self { bench, settings, services, runs })
    }

    async fn producer(&mut self) -> anyhow::Result<Measured> {
        let paced = Paced::start(producer(&self.services, self.settings, &self.runs)?, &self.bench.logs())?;
        let mut meter = CpuMeter::new([paced.pid()], &self.settings.stack)?;
        let (log, cpu) = paced.run(self.settings, &mut meter, || Ok(())).await?;
        let (run, _) = summary(&log, &self.runs)?;
        Ok(Measured { latency: run.acknowledgement_ms.into(), cpu, stages: Vec::new() })
    }

    async fn perf_test(&mut self, payloads: &std::path::Path) -> anyhow::Result<Measured> {
        let LatencyBenchSettings { rate, duration, warm_up, stack, .. } = self.settings;
        let orders = |time: &Duration| (time.as_secs_f64() * f64::from(*rate)).round() as u64;
        let linger = format!("linger.ms={}", default_linger(true).as_millis());
        let perf_test = PerfTest {
            stack,
            brokers: &self.services.kafka.brokers,
            topic: &self.services.topic.topic,
            payloads,
            records: orders(warm_up) + orders(duration),
            throughput: Some(*rate),
            properties: &[linger],
        };
        let mut command = perf_test.command();
        command.args(["--warmup-records", &orders(warm_up).to_string()]);
        let paced = Paced::start(command, &self.bench.logs())?;
        let mut meter = CpuMeter::new([paced.pid()], stack)?;
        let (log, cpu) = paced.run(self.settings, &mut meter, || Ok(())).await?;
        Ok(Measured { latency: Percentiles::of_perf_test(&log)?, cpu, stages: Vec::new() })
    }

    async fn sink(&mut self, sink: Contestant, worker: &mut ConnectWorker, behind: Behind) -> anyhow::Result<Measured> {
        let (bench, settings) = (self.bench, self.settings);
        let mut sink = RunningSink::start(sink, bench, &self.services, worker, &settings.peers).await?;
        let mut meter = CpuMeter::new(sink.pids(), &settings.stack)?;
        let paced = Paced::start(producer(&self.services, settings, &self.runs)?, &bench.logs())?;
        let (log, cpu) = paced.run(settings, &mut meter, || sink.ensure_running()).await?;
        let (summary, run) = summary(&log, &self.runs)?;
        self.wait_until_stored(summary.counts.acknowledged + summary.warm_up.acknowledged, &mut sink).await?;
        let stats = sink.stats();
        sink.stop().await?;
        let from = run.started_at + TimeDelta::from_std(settings.warm_up)?;
        let stages = stats.map_or_else(|| Ok(Vec::new()), |stats| consumer_stages(&stats, run.tag, from))?;
        Ok(Measured {
            latency: due_to_commit(&bench.database, run.tag, &summary, from, behind).await?.into(),
            cpu,
            stages,
        })
    }

    async fn wait_until_stored(&self, orders: u64, sink: &mut RunningSink<'_>) -> anyhow::Result<()> {
        let (client, since) = (connect(&self.bench.database).await?, Instant::now());
        loop {
            let stored = count_events(&client).await?;
            if stored >= orders {
                return Ok(());
            }
            sink.ensure_running()?;
            ensure!(
                since.elapsed() < STORED_TIMEOUT,
                "{stored} of {orders} orders are stored after {STORED_TIMEOUT:?}"
            );
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}
