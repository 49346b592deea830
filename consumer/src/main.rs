//! Stores orders from Kafka in PostgreSQL, each exactly once.

use std::{path::Path, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, anyhow, ensure};
use consumer::{
    account::Account,
    dead_letter::DeadLetters,
    dlq,
    enrich::Enricher,
    flood::FloodGate,
    group::Group,
    health::Health,
    lag::LagWatch,
    read::{Delivered, Reader},
    settings::{Action, BatchSettings, Command, DlqAction},
    settle::Settling,
    statistics::Statistics,
    table::Database,
    write::{Writing, write},
};
use shared::{
    database::migrations::require_tables,
    kafka::ensure_topic,
    latency::{LatencyLog, LatencySummary},
    program::{self, Outcome},
    shutdown, telemetry,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{Semaphore, mpsc},
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

/// Leaving the group may take as long as its session lasts; a stop does not wait longer than this for it.
const LEAVE: Duration = Duration::from_secs(8);

fn main() -> ExitCode {
    program::run(run)
}

async fn run(command: Command) -> anyhow::Result<Outcome> {
    let stop = shutdown::on_signal()?;
    if let Some(Action::Dlq(action)) = command.action {
        return dead_letters(action, stop).await;
    }
    let database = command.database.settings()?;
    require_tables(&database).await?;
    ensure_topic(&command.kafka, &command.topic.orders()).await?;
    ensure_topic(&command.kafka, &command.topic.dead_letters()).await?;
    let redis = command.cache.connect_lazily()?;
    let health = Arc::new(Health::default());
    let readiness = health.clone();
    telemetry::serve(&command.telemetry, Arc::new(move || readiness.ready()), stop.clone()).await?;

    let instance = command.group.instance();
    let log = command.stats_dir.as_deref().map(|folder| latency_log(folder, &instance)).transpose()?;
    let gate = Arc::new(FloodGate::new(command.batches.dead_letter_limit));
    accept_on_signal(gate.clone())?;
    let dead_letters = DeadLetters::open(&command.kafka, &command.topic, instance, gate, health.clone())?;
    let (account, statistics) = (Arc::new(Account::default()), Arc::new(Statistics::default()));
    let (stop_deadline, stuck_after, on_gap) =
        (command.group.stop_deadline, command.group.stuck_after, command.group.on_gap);
    let group = Arc::new(Group::join(command.kafka, command.group, command.topic.topic.clone(), health.clone())?);
    let abandon = CancellationToken::new();
    let writing = Writing {
        enricher: Enricher::new(redis, command.cache.keys(), command.enrichment.remember),
        settling: Settling {
            letters: dead_letters,
            offsets: group.clone(),
            account: account.clone(),
            statistics: statistics.clone(),
            abandon: abandon.clone(),
        },
    };
    let connection = || Database::new(database.clone(), command.statements, health.clone());
    let (mut writers, channels) = start_writers(writing, command.batches, connection);
    let logged = CancellationToken::new();
    let logging = tokio::spawn(statistics.log(log, logged.clone()));
    let watch =
        LagWatch { group: group.clone(), topic: command.topic.topic.clone(), health: health.clone(), stuck_after };
    let watching = tokio::spawn(watch.run(stop.clone()));
    let capacity = command.batches.queue_size as usize * 1024 * 1024;
    let reader = Reader {
        group: group.clone(),
        writers: channels,
        memory: Arc::new(Semaphore::new(capacity)),
        capacity,
        account: account.clone(),
        topic: command.topic.topic,
        on_gap,
    };
    let ended = supervise(reader, stop_deadline, &mut writers, watching, stop).await;
    // The reader has ended and with it the channels: the writers end once they have dropped or stored what they hold.
    abandon.cancel();
    while writers.join_next().await.is_some() {}
    leave(group).await;
    logged.cancel();
    sum_up(&account, &logging.await?.summary());
    ended?;
    ensure!(account.is_balanced(), "the account does not balance, which is a fault of this program: {account}");
    Ok(Outcome::Valid)
}

fn latency_log(folder: &Path, instance: &str) -> anyhow::Result<LatencyLog> {
    LatencyLog::open(folder, instance).with_context(|| format!("no latency log can be kept in {}", folder.display()))
}

/// Starts the writers, each with two connections; gives them and the channels by which records reach them.
fn start_writers(
    writing: Writing,
    settings: BatchSettings,
    connection: impl Fn() -> Database,
) -> (JoinSet<()>, Vec<mpsc::UnboundedSender<Delivered>>) {
    let writing = Arc::new(writing);
    let mut writers = JoinSet::new();
    let mut channels = Vec::new();
    for _ in 0..settings.writers {
        let (channel, records) = mpsc::unbounded_channel();
        channels.push(channel);
        writers.spawn(write(writing.clone(), records, settings.max_batch as usize, connection(), connection()));
    }
    (writers, channels)
}

/// Reads until a stop, or until a part of this program fails, which then stops the others.
///
/// # Errors
/// When one failed.
async fn supervise(
    reader: Reader,
    deadline: Duration,
    writers: &mut JoinSet<()>,
    mut watching: JoinHandle<anyhow::Result<()>>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let reading_stop = stop.clone();
    let reading = tokio::task::spawn_blocking(move || reader.run(&reading_stop, deadline));
    tokio::pin!(reading);
    let panicked = "a part of this program panicked";
    let failed = tokio::select! {
        read = &mut reading => {
            stop.cancel();
            return read.context(panicked)?.and(watching.await.context(panicked)?);
        }
        watched = &mut watching => watched.context(panicked)?,
        // While nobody asked for a stop and the reader lives, a writer ends only by a fault of its own; its partitions
        // would stall silently.
        _ = writers.join_next() => {
            let asked = stop.is_cancelled();
            let fault = "a writer ended before its time, which is a fault of this program; its error stands above";
            if asked { Ok(()) } else { Err(anyhow!(fault)) }
        }
    };
    // A stop that was asked for ends the watch before the reader.
    stop.cancel();
    reading.await.context(panicked)?.and(failed)
}

fn sum_up(account: &Account, latency: &LatencySummary) {
    tracing::info!("{account}");
    let LatencySummary { count, p50, p99, max, .. } = latency;
    tracing::info!("due to stored: {count} orders, p50 {p50} ms, p99 {p99} ms, max {max} ms");
}

/// Looks at the dead letters, or puts orders back.
async fn dead_letters(action: DlqAction, stop: CancellationToken) -> anyhow::Result<Outcome> {
    match action {
        DlqAction::List(dlq) => dlq::list::list(*dlq).await,
        DlqAction::Show { place, dlq } => tokio::task::spawn_blocking(move || dlq::show::show(&dlq, place)).await?,
        DlqAction::Replay { choice, dlq } => dlq::replay::replay(*dlq, choice, stop).await,
    }
}

/// A person says by a signal that a flood of dead letters is as it should be.
fn accept_on_signal(gate: Arc<FloodGate>) -> std::io::Result<()> {
    let mut accepting = signal(SignalKind::user_defined1())?;
    tokio::spawn(async move {
        while accepting.recv().await.is_some() {
            match gate.accept() {
                kinds if kinds.is_empty() => tracing::info!("there is no flood of dead letters to accept"),
                kinds => tracing::info!(?kinds, "dead-lettering goes on, without a limit for these kinds"),
            }
        }
    });
    Ok(())
}

async fn leave(group: Arc<Group>) {
    let leaving = tokio::task::spawn_blocking(move || group.leave());
    if tokio::time::timeout(LEAVE, leaving).await.is_err() {
        tracing::warn!("the group was not left in time; it notices by itself");
    }
}
