//! Stores orders from Kafka in PostgreSQL, each exactly once.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use consumer::{
    account::Account,
    assignment::Assignment,
    dead_letter::DeadLetters,
    dlq,
    enrich::Enricher,
    flood::FloodGate,
    group::{GroupConsumer, join},
    health::Health,
    lag::LagWatch,
    read::Reader,
    settings::{Action, Command, DlqAction},
    statistics::Statistics,
    store::Database,
    write::{Writing, write},
};
use shared::{
    database::{connect_diesel, migrations::require_tables},
    kafka::ensure_topic,
    latency::LatencyLog,
    program::{self, Outcome},
    shutdown, telemetry,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{Semaphore, mpsc},
    task::JoinSet,
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
    require_tables(&mut connect_diesel(&database).await?, &database).await?;
    ensure_topic(&command.kafka, &command.topic.orders()).await?;
    ensure_topic(&command.kafka, &command.topic.dead_letters()).await?;
    let redis = match command.cache.connect(Duration::from_secs(3)).await {
        Ok(redis) => Some(redis),
        Err(error) => {
            tracing::warn!("users and products are looked up in the database alone: {error:#}");
            None
        }
    };
    let health = Arc::new(Health::default());
    let readiness = health.clone();
    telemetry::serve(&command.telemetry, Arc::new(move || readiness.ready()), stop.clone()).await?;

    let instance = command.group.instance();
    let log = match &command.stats_dir {
        Some(folder) => Some(
            LatencyLog::open(folder, &instance)
                .with_context(|| format!("no latency log can be kept in {}", folder.display()))?,
        ),
        None => None,
    };
    let (account, statistics, assignment) =
        (Arc::new(Account::default()), Arc::new(Statistics::default()), Arc::new(Assignment::default()));
    let gate = Arc::new(FloodGate::new(command.batches.dead_letter_limit));
    accept_on_signal(gate.clone())?;
    let group = Arc::new(join(&command.kafka, &command.group, &command.topic.topic, assignment.clone())?);
    let writing = Arc::new(Writing {
        consumer: group.clone(),
        topic: command.topic.topic.clone(),
        enricher: Enricher::new(redis, command.cache.keys()),
        dead_letters: DeadLetters::open(
            &command.kafka,
            command.topic.dead_letter_topic(),
            instance,
            gate.clone(),
            health.clone(),
        )?,
        account: account.clone(),
        statistics: statistics.clone(),
        abandon: CancellationToken::new(),
    });
    let abandon = writing.abandon.clone();

    let mut writers = JoinSet::new();
    let mut channels = Vec::new();
    for _ in 0..command.batches.writers {
        let (channel, records) = mpsc::unbounded_channel();
        channels.push(channel);
        let connection = || Database::new(database.clone(), command.batches.statement_deadline, health.clone());
        writers.spawn(write(writing.clone(), records, command.batches.max_batch as usize, connection(), connection()));
    }
    drop(writing);
    let logged = CancellationToken::new();
    let logging = tokio::spawn(statistics.log(log, logged.clone()));
    let capacity = command.batches.queue_size as usize * 1024 * 1024;
    let memory = Arc::new(Semaphore::new(capacity));
    let reader = Reader {
        consumer: group.clone(),
        assignment,
        writers: channels,
        memory,
        capacity,
        account: account.clone(),
        health,
        topic: command.topic.topic,
        on_gap: command.group.on_gap,
    };
    let watch = LagWatch {
        consumer: group.clone(),
        topic: reader.topic.clone(),
        assignment: reader.assignment.clone(),
        health: reader.health.clone(),
        stuck_after: command.group.stuck_after,
    };
    let watching = tokio::spawn({
        let stop = stop.clone();
        async move {
            let watched = watch.run(stop.clone()).await;
            stop.cancel();
            watched
        }
    });
    let deadline = command.group.stop_deadline;
    let reading = {
        let stop = stop.clone();
        tokio::task::spawn_blocking(move || reader.run(&stop, deadline))
    };
    tokio::pin!(reading);
    let (read, writer_died) = tokio::select! {
        read = &mut reading => (read, false),
        // While nobody asked for a stop and the reader lives, a writer ends only by a fault of its own; its partitions
        // would stall silently.
        _ = writers.join_next() => {
            let died = !stop.is_cancelled();
            stop.cancel();
            (reading.await, died)
        }
    };
    let read = read.context("the reading thread panicked")?;
    stop.cancel();
    let watched = watching.await?;
    // The reader has ended and with it the channels: the writers end once they have dropped or stored what they hold.
    abandon.cancel();
    while writers.join_next().await.is_some() {}
    leave(group).await;
    logged.cancel();
    let latency = logging.await?.summary();
    tracing::info!("{account}");
    tracing::info!(
        "due to stored: {} orders, p50 {} ms, p99 {} ms, max {} ms",
        latency.count,
        latency.p50,
        latency.p99,
        latency.max
    );
    read?;
    watched?;
    ensure!(!writer_died, "a writer ended before its time, which is a fault of this program; its error stands above");
    ensure!(account.is_balanced(), "the account does not balance, which is a fault of this program: {account}");
    Ok(Outcome::Valid)
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

async fn leave(group: Arc<GroupConsumer>) {
    let leaving = tokio::task::spawn_blocking(move || drop(group));
    if tokio::time::timeout(LEAVE, leaving).await.is_err() {
        tracing::warn!("the group was not left in time; it notices by itself");
    }
}
