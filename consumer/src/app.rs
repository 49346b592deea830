//! Starts the tasks of the consumer and supervises them. A stop ends the reader first, then the workers, the group
//! membership and the latency log.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, anyhow, ensure};
use shared::{
    database::{DatabaseSettings, export_connection_limit, migrations::require_tables},
    health::Dependency,
    kafka::ensure_topic,
    latency::{LatencyLog, LatencySummary},
    program::{Outcome, ProgramArgs},
    service_manager::{self, Heartbeat},
    telemetry,
    traces::SpanExport,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

use crate::{
    dlq::{limiter::DeadLetterLimiter, list::list, replay::replay, show::show, topic::DeadLetterTopic},
    health::ConsumerHealth,
    metrics,
    model::{InFlightRecord, WorkerId},
    pipeline::{
        accounting::Accounting,
        commit::BatchCommitter,
        enrich::Enricher,
        latency::{AllLatencies, LatencyRecorder},
        spans::OrderSpans,
        worker::{Pipeline, run_worker},
    },
    settings::{BatchSettings, Command, DlqAction, OnOffsetOutOfRange},
    sink::{changes::invalidation::Invalidation, database::OrderDatabase},
    source::{
        group::Group, lag::LagMonitor, owner_monitor::OwnerMonitor, queue_memory::QueueMemory, reader::Reader,
        retention::RetentionExporter, stored_offsets::StoredOffsets,
    },
};

/// A worker looks up users and products over one connection while it inserts a batch over the other.
const CONNECTIONS_PER_WORKER: usize = 2;

/// Timeout of closing the client at a stop. Closing may take as long as the session timeout of the group.
const GROUP_CLOSE_TIMEOUT: Duration = Duration::from_secs(8);

/// Runs the consumer until `stop`.
///
/// # Errors
/// When a service can't be reached at the start, or a task of the consumer fails.
pub async fn run_consumer(command: Command, stop: CancellationToken) -> anyhow::Result<Outcome> {
    let database = prepare_services(&command).await?;
    let health = Arc::new(ConsumerHealth::default());
    // Both have just answered.
    health.confirm(Dependency::Brokers);
    health.confirm(Dependency::Postgres);
    telemetry::serve(&command.telemetry, Command::PROGRAM, health.source(), stop.clone()).await?;
    if command.telemetry.listen.is_some() {
        metrics::register();
        export_connection_limit(usize::from(command.batches.workers) * CONNECTIONS_PER_WORKER);
    }
    let heartbeat = Heartbeat::default();
    let tasks = ConsumerTasks::start(command, database, health.clone(), heartbeat.clone(), &stop)?;
    let notifications = service_manager::notify(health.source(), heartbeat, &stop);
    let ended = tasks.run(stop).await;
    notifications.close().await;
    ended
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
    ensure_topic(&services.kafka, &services.topic.orders().without_some_leaders()).await?;
    ensure_topic(&services.kafka, &services.topic.dead_letters().without_some_leaders()).await?;
    Ok(database)
}

/// The tasks beside the data. None of them ends before a stop, unless it fails.
struct Monitors {
    tasks: JoinSet<anyhow::Result<()>>,
    /// Cancelled when the latency log ends, by a panic too.
    latency_log_ended: CancellationToken,
}

/// The tasks of a running consumer.
struct ConsumerTasks {
    group: Arc<Group>,
    reader: Reader,
    stop_deadline: Duration,
    workers: JoinSet<()>,
    monitors: Monitors,
    latency_log: JoinHandle<AllLatencies>,
    /// Cancelled once all latencies are recorded: ends the latency log.
    all_recorded: CancellationToken,
    accounting: Arc<Accounting>,
    span_export: Option<Arc<SpanExport>>,
    /// Cancelled: workers stop retrying and hand back their records.
    force_stop: CancellationToken,
}

impl ConsumerTasks {
    fn start(
        command: Command,
        database: DatabaseSettings,
        health: Arc<ConsumerHealth>,
        heartbeat: Heartbeat,
        stop: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let Command {
            group: settings,
            batches,
            enrichment,
            dead_letters,
            statements,
            invalidation,
            services,
            telemetry,
            traces,
            stats_dir,
            ..
        } = command;
        let (stop_deadline, stuck_after) = (settings.stop_deadline, settings.stuck_after);
        let (on_offset_out_of_range, instance) = (settings.on_offset_out_of_range, settings.instance_name());
        let span_export = SpanExport::start(&traces, Command::PROGRAM, instance.clone())?;
        let log = stats_dir.as_deref().map(|folder| open_latency_log(folder, &instance)).transpose()?;
        let limiter = Arc::new(DeadLetterLimiter::new(dead_letters.dead_letter_limit));
        let mut monitors = JoinSet::new();
        monitors.spawn(accept_dead_letters_on_signal(limiter.clone(), stop.clone())?);
        let dead_letters = DeadLetterTopic::open(&services.kafka, &services.topic, instance, limiter, health.clone())?;
        let redis = services.cache.connect_lazily()?;
        let invalidation = invalidation
            .invalidate
            .then(|| Invalidation::new(redis.clone(), services.cache.keys(), statements.statement_deadline));
        let invalidation = invalidation.map(Arc::new);
        let topic = services.topic.topic.clone();
        if telemetry.listen.is_some() {
            let retention = RetentionExporter { kafka: services.kafka.clone(), topic: topic.clone() };
            monitors.spawn(retention.run(stop.clone()));
        }
        let group = Group::join(services.kafka, settings, topic.clone(), health.clone(), heartbeat.clone())?;
        let group = Arc::new(group);
        let (accounting, latency) = (Arc::new(Accounting::default()), Arc::new(LatencyRecorder::default()));
        let (force_stop, all_recorded) = (CancellationToken::new(), CancellationToken::new());
        let pipeline = Pipeline {
            enricher: Enricher::new(redis, services.cache.keys(), enrichment.cache_ttl, health.clone()),
            committer: BatchCommitter {
                dead_letters,
                offsets: group.clone(),
                accounting: accounting.clone(),
                latency: latency.clone(),
                spans: span_export.clone().map(|export| OrderSpans::new(export, group.topic(), group.name())),
                force_stop: force_stop.clone(),
            },
        };
        let connection = |worker| {
            let connection = OrderDatabase::new(database.clone(), statements, worker, health.clone());
            connection.invalidating(invalidation.clone())
        };
        let (workers, channels) = start_workers(pipeline, batches, connection);
        let memory = QueueMemory::new(batches.queue_size as usize * 1024 * 1024, channels.len());
        let reader = reader(group.clone(), channels, memory, accounting.clone(), on_offset_out_of_range, heartbeat);
        let lag_monitor =
            LagMonitor { group: group.clone(), topic, workers: batches.workers, health: health.clone(), stuck_after };
        monitors.spawn(lag_monitor.run(stop.clone()));
        monitors.spawn(StoredOffsets { group: group.clone() }.run(stop.clone()));
        monitors.spawn(OwnerMonitor { group: group.clone(), health }.run(stop.clone()));
        let latency_log_ended = CancellationToken::new();
        let log = (latency.log(log, all_recorded.clone()), latency_log_ended.clone().drop_guard());
        let latency_log = tokio::spawn(async move {
            let (log, _ended) = log;
            log.await
        });
        Ok(Self {
            group,
            reader,
            stop_deadline,
            workers,
            monitors: Monitors { tasks: monitors, latency_log_ended },
            latency_log,
            all_recorded,
            accounting,
            span_export,
            force_stop,
        })
    }

    /// Runs until `stop`, or until a task fails; then stops the tasks in the direction of the data.
    async fn run(self, stop: CancellationToken) -> anyhow::Result<Outcome> {
        let Self { group, reader, stop_deadline, mut workers, monitors, latency_log, .. } = self;
        let ended = supervise(reader, stop_deadline, &mut workers, monitors, stop).await;
        // The reader has ended, and with it the channels: the workers end once they have stored or handed back all
        // records.
        self.force_stop.cancel();
        while workers.join_next().await.is_some() {}
        leave(group).await;
        self.all_recorded.cancel();
        if let Some(export) = self.span_export {
            export.close().await;
        }
        log_totals(&self.accounting, &latency_log.await?);
        ended?;
        let accounting = self.accounting;
        ensure!(accounting.is_balanced(), "the accounting does not balance, which is a bug: {accounting}");
        Ok(Outcome::Valid)
    }
}

fn reader(
    group: Arc<Group>,
    workers: Vec<mpsc::UnboundedSender<InFlightRecord>>,
    memory: QueueMemory,
    accounting: Arc<Accounting>,
    on_offset_out_of_range: OnOffsetOutOfRange,
    heartbeat: Heartbeat,
) -> Reader {
    let topic = group.topic().to_owned();
    Reader { group, workers, memory, accounting, topic, on_offset_out_of_range, heartbeat }
}

fn open_latency_log(folder: &Path, instance: &str) -> anyhow::Result<LatencyLog> {
    LatencyLog::open(folder, instance)
        .with_context(|| format!("the latency log can't be written in {}", folder.display()))
}

/// Starts the workers, each with two connections; returns them and the channel of each.
fn start_workers(
    pipeline: Pipeline<DeadLetterTopic, Arc<Group>>,
    settings: BatchSettings,
    connection: impl Fn(WorkerId) -> OrderDatabase,
) -> (JoinSet<()>, Vec<mpsc::UnboundedSender<InFlightRecord>>) {
    let pipeline = Arc::new(pipeline);
    let mut workers = JoinSet::new();
    let mut channels = Vec::new();
    for worker in WorkerId::all(settings.workers) {
        let (channel, records) = mpsc::unbounded_channel();
        channels.push(channel);
        let max_batch = settings.max_batch as usize;
        workers.spawn(run_worker(pipeline.clone(), records, max_batch, connection(worker), connection(worker)));
    }
    (workers, channels)
}

/// Reads until a stop, or until a task fails; then stops the other tasks.
///
/// # Errors
/// The error of the task that failed.
async fn supervise(
    reader: Reader,
    stop_deadline: Duration,
    workers: &mut JoinSet<()>,
    mut monitors: Monitors,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let reader_stop = stop.clone();
    let reading = tokio::task::spawn_blocking(move || reader.run(&reader_stop, stop_deadline));
    tokio::pin!(reading);
    let reader_panicked = "the reader panicked, which is a bug";
    let failed = tokio::select! {
        read = &mut reading => {
            stop.cancel();
            return read.context(reader_panicked)?.and(monitors.join_all().await);
        }
        Some(monitored) = monitors.tasks.join_next() => monitored.context(MONITOR_PANICKED)?,
        () = monitors.latency_log_ended.cancelled() => Err(anyhow!("the latency log ended early, which is a bug")),
        // Without a stop, and while the reader runs, a worker ends only by a panic; its partitions would stall
        // silently.
        _ = workers.join_next() => {
            let panic = "a worker ended early, which is a bug; its error is logged above";
            if stop.is_cancelled() { Ok(()) } else { Err(anyhow!(panic)) }
        }
    };
    // A stop ends the monitors before the reader.
    stop.cancel();
    reading.await.context(reader_panicked)?.and(failed).and(monitors.join_all().await)
}

const MONITOR_PANICKED: &str = "a monitor of the consumer panicked, which is a bug";

impl Monitors {
    /// Waits for all tasks but the latency log.
    ///
    /// # Errors
    /// The first error of a task.
    async fn join_all(&mut self) -> anyhow::Result<()> {
        let mut joined = Ok(());
        while let Some(monitored) = self.tasks.join_next().await {
            joined = joined.and(monitored.context(MONITOR_PANICKED).flatten());
        }
        joined
    }
}

fn log_totals(accounting: &Accounting, latencies: &AllLatencies) {
    tracing::info!("records: {accounting}");
    let log = |what: &str, LatencySummary { count, p50, p99, max, .. }: LatencySummary| {
        tracing::info!("latency from due to stored: {count} {what}, p50 {p50} ms, p99 {p99} ms, max {max} ms");
    };
    log("orders", latencies.orders.summary());
    if latencies.changes.count() > 0 {
        log("changes", latencies.changes.summary());
    }
}

/// Until `stop`, the signal USR1 accepts the kinds of dead letters that are over the limit.
fn accept_dead_letters_on_signal(
    limiter: Arc<DeadLetterLimiter>,
    stop: CancellationToken,
) -> std::io::Result<impl Future<Output = anyhow::Result<()>>> {
    let mut accepted = signal(SignalKind::user_defined1())?;
    Ok(async move {
        while let Some(Some(())) = stop.run_until_cancelled(accepted.recv()).await {
            match limiter.accept() {
                kinds if kinds.is_empty() => {
                    tracing::info!("dead-letter limit: signal USR1 received, no kind is over the limit");
                }
                kinds => tracing::info!(
                    ?kinds,
                    "dead-letter limit: signal USR1 received, these kinds have no limit until this process exits"
                ),
            }
        }
        Ok(())
    })
}

async fn leave(group: Arc<Group>) {
    let leaving = tokio::task::spawn_blocking(move || group.leave());
    if tokio::time::timeout(GROUP_CLOSE_TIMEOUT, leaving).await.is_err() {
        tracing::warn!(
            "consumer group: client not closed within {GROUP_CLOSE_TIMEOUT:?}; the membership ends with the session \
             timeout"
        );
    }
}
