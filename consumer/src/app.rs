//! Starts the parts of the consumer, supervises them, and stops them in their order.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, anyhow, ensure};
use shared::{
    database::{DatabaseSettings, migrations::require_tables},
    kafka::ensure_topic,
    latency::{Latencies, LatencyLog, LatencySummary},
    program::Outcome,
    telemetry,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{Semaphore, mpsc},
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

use crate::{
    dlq::{limiter::DeadLetterLimiter, list::list, replay::replay, show::show, writer::DeadLetterTopic},
    health::ConsumerHealth,
    model::InFlightRecord,
    pipeline::{
        accounting::Accounting,
        commit::BatchCommitter,
        enrich::Enricher,
        latency::LatencyRecorder,
        worker::{Pipeline, run_worker},
    },
    settings::{BatchSettings, Command, DlqAction},
    sink::database::OrderDatabase,
    source::{group::Group, lag::LagMonitor, reader::Reader},
};

/// Leaving the group may take as long as its session lasts; a stop does not wait longer than this for it.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(8);

/// Runs the consumer until `stop`.
///
/// # Errors
/// When a service can't be reached at the start, or a part of the consumer fails.
pub async fn run_consumer(command: Command, stop: CancellationToken) -> anyhow::Result<Outcome> {
    let database = prepare_services(&command).await?;
    let health = Arc::new(ConsumerHealth::default());
    telemetry::serve(&command.telemetry, health.readiness(), stop.clone()).await?;
    let parts = Parts::start(command, database, health, &stop)?;
    parts.run(stop).await
}

/// Lists, shows or replays dead letters.
///
/// # Errors
/// When a service fails, or at a `stop`.
pub async fn run_dlq_command(action: DlqAction, stop: CancellationToken) -> anyhow::Result<Outcome> {
    match action {
        DlqAction::List(dlq) => list(*dlq).await,
        DlqAction::Show { position, dlq } => tokio::task::spawn_blocking(move || show(&dlq, position)).await?,
        DlqAction::Replay { selection, dlq } => replay(*dlq, selection, stop).await,
    }
}

/// Checks that the tables and topics exist; missing topics are created.
async fn prepare_services(command: &Command) -> anyhow::Result<DatabaseSettings> {
    let services = &command.services;
    let database = services.database.settings()?;
    require_tables(&database).await?;
    ensure_topic(&services.kafka, &services.topic.orders()).await?;
    ensure_topic(&services.kafka, &services.topic.dead_letters()).await?;
    Ok(database)
}

/// The parts of a running consumer.
struct Parts {
    group: Arc<Group>,
    reader: Reader,
    stop_deadline: Duration,
    workers: JoinSet<()>,
    lag_monitor: JoinHandle<anyhow::Result<()>>,
    latency_log: JoinHandle<Latencies>,
    /// Ends the latency log.
    all_recorded: CancellationToken,
    accounting: Arc<Accounting>,
    /// Has the workers hand back what they hold.
    force_stop: CancellationToken,
}

impl Parts {
    fn start(
        command: Command,
        database: DatabaseSettings,
        health: Arc<ConsumerHealth>,
        stop: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let Command { group: settings, batches, enrichment, dead_letters, statements, services, stats_dir, .. } =
            command;
        let (stop_deadline, stuck_after) = (settings.stop_deadline, settings.stuck_after);
        let (on_offset_out_of_range, instance) = (settings.on_offset_out_of_range, settings.instance());
        let log = stats_dir.as_deref().map(|folder| open_latency_log(folder, &instance)).transpose()?;
        let limiter = Arc::new(DeadLetterLimiter::new(dead_letters.dead_letter_limit));
        accept_dead_letters_on_signal(limiter.clone())?;
        let redis = services.cache.connect_lazily()?;
        let dead_letters = DeadLetterTopic::open(&services.kafka, &services.topic, instance, limiter, health.clone())?;
        let topic = services.topic.topic.clone();
        let group = Arc::new(Group::join(services.kafka, settings, topic.clone(), health.clone())?);
        let (accounting, latency) = (Arc::new(Accounting::default()), Arc::new(LatencyRecorder::default()));
        let (force_stop, all_recorded) = (CancellationToken::new(), CancellationToken::new());
        let pipeline = Pipeline {
            enricher: Enricher::new(redis, services.cache.keys(), enrichment.cache_ttl),
            committer: BatchCommitter {
                dead_letters,
                offsets: group.clone(),
                accounting: accounting.clone(),
                latency: latency.clone(),
                force_stop: force_stop.clone(),
            },
        };
        let connection = || OrderDatabase::new(database.clone(), statements, health.clone());
        let (workers, channels) = start_workers(pipeline, batches, connection);
        let lag_monitor =
            LagMonitor { group: group.clone(), topic: topic.clone(), health: health.clone(), stuck_after };
        let capacity = batches.queue_size as usize * 1024 * 1024;
        let reader = Reader {
            group: group.clone(),
            workers: channels,
            memory: Arc::new(Semaphore::new(capacity)),
            capacity,
            accounting: accounting.clone(),
            topic,
            on_offset_out_of_range,
        };
        Ok(Self {
            group,
            reader,
            stop_deadline,
            workers,
            lag_monitor: tokio::spawn(lag_monitor.run(stop.clone())),
            latency_log: tokio::spawn(latency.log(log, all_recorded.clone())),
            all_recorded,
            accounting,
            force_stop,
        })
    }

    /// Runs until `stop`, or until a part fails; then stops the parts in the direction of the data.
    async fn run(self, stop: CancellationToken) -> anyhow::Result<Outcome> {
        let Self { group, reader, stop_deadline, mut workers, lag_monitor, latency_log, .. } = self;
        let ended = supervise(reader, stop_deadline, &mut workers, lag_monitor, stop).await;
        // The reader has ended, and with it the channels: the workers end once they have stored or handed back all
        // records.
        self.force_stop.cancel();
        while workers.join_next().await.is_some() {}
        leave(group).await;
        self.all_recorded.cancel();
        log_totals(&self.accounting, &latency_log.await?.summary());
        ended?;
        let accounting = self.accounting;
        ensure!(accounting.is_balanced(), "the accounting does not balance, which is a bug: {accounting}");
        Ok(Outcome::Valid)
    }
}

fn open_latency_log(folder: &Path, instance: &str) -> anyhow::Result<LatencyLog> {
    LatencyLog::open(folder, instance)
        .with_context(|| format!("the latency log can't be written in {}", folder.display()))
}

/// Starts the workers, each with two connections; returns them and the channel of each.
fn start_workers(
    pipeline: Pipeline<DeadLetterTopic, Arc<Group>>,
    settings: BatchSettings,
    connection: impl Fn() -> OrderDatabase,
) -> (JoinSet<()>, Vec<mpsc::UnboundedSender<InFlightRecord>>) {
    let pipeline = Arc::new(pipeline);
    let mut workers = JoinSet::new();
    let mut channels = Vec::new();
    for _ in 0..settings.writers {
        let (channel, records) = mpsc::unbounded_channel();
        channels.push(channel);
        let max_batch = settings.max_batch as usize;
        workers.spawn(run_worker(pipeline.clone(), records, max_batch, connection(), connection()));
    }
    (workers, channels)
}

/// Reads until a stop, or until a part fails, which then stops the others.
///
/// # Errors
/// The error of the part that failed.
async fn supervise(
    reader: Reader,
    stop_deadline: Duration,
    workers: &mut JoinSet<()>,
    mut lag_monitor: JoinHandle<anyhow::Result<()>>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let reader_stop = stop.clone();
    let reading = tokio::task::spawn_blocking(move || reader.run(&reader_stop, stop_deadline));
    tokio::pin!(reading);
    let panicked = "a part of the consumer panicked";
    let failed = tokio::select! {
        read = &mut reading => {
            stop.cancel();
            return read.context(panicked)?.and(lag_monitor.await.context(panicked)?);
        }
        monitored = &mut lag_monitor => monitored.context(panicked)?,
        // Without a stop, and while the reader runs, a worker ends only by a panic; its partitions would stall
        // silently.
        _ = workers.join_next() => {
            let panic = "a worker ended early, which is a bug; its error is logged above";
            if stop.is_cancelled() { Ok(()) } else { Err(anyhow!(panic)) }
        }
    };
    // A stop ends the lag monitor before the reader.
    stop.cancel();
    reading.await.context(panicked)?.and(failed)
}

fn log_totals(accounting: &Accounting, latency: &LatencySummary) {
    tracing::info!("{accounting}");
    let LatencySummary { count, p50, p99, max, .. } = latency;
    tracing::info!("due to stored: {count} orders, p50 {p50} ms, p99 {p99} ms, max {max} ms");
}

/// An operator accepts, by the signal USR1, the kinds of dead letters that are above the limit.
fn accept_dead_letters_on_signal(limiter: Arc<DeadLetterLimiter>) -> std::io::Result<()> {
    let mut accepted = signal(SignalKind::user_defined1())?;
    tokio::spawn(async move {
        while accepted.recv().await.is_some() {
            match limiter.accept() {
                kinds if kinds.is_empty() => tracing::info!("USR1: no kind of dead letters is above the limit"),
                kinds => tracing::info!(?kinds, "USR1: these kinds are dead-lettered without a limit from now on"),
            }
        }
    });
    Ok(())
}

async fn leave(group: Arc<Group>) {
    let leaving = tokio::task::spawn_blocking(move || group.leave());
    if tokio::time::timeout(LEAVE_TIMEOUT, leaving).await.is_err() {
        tracing::warn!("the group was not left in time: its session timeout ends the membership");
    }
}
