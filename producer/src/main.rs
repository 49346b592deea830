//! Emits synthetic orders at exactly the rate asked.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, ensure};
use chrono::{DateTime, Utc};
use producer::{
    client::{client, client_config, linger},
    deliver::{Delivery, DeliveryContext, Start},
    encode::Encoder,
    partition::{Partitioning, Turns},
    progress::View,
    publish::{Publisher, Sent},
    record::{Recorded, Recorder, SoFar, Unkept},
    report,
    sample::{self, Samples},
    settings::{Command, LoadSettings, Source},
    statistics,
};
use shared::{
    kafka::ensure_topic,
    latency::LatencyLog,
    ledger::{Journal, Run, RunId, RunSummary, Shard, Verdict},
    program::{self, Outcome, OutputFormat},
    shutdown, telemetry,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// librdkafka takes memory for each order, and gives it back on another thread: this allocator is made for that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Time between the decision to start and the first due order, for the threads to be there.
const LEAD: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    program::run(run)
}

async fn run(command: Command) -> anyhow::Result<Outcome> {
    let stop = shutdown::on_signal()?;
    let seed = command.orders.seed.unwrap_or_else(|| command.run.seed());
    command.check().unwrap_or_else(|wrong| wrong.exit());
    let pacer = command.load.pacer(seed).unwrap_or_else(|wrong| wrong.exit()).of_shard(command.run.shard());
    let partitions = ensure_topic(&command.kafka, &command.topic.orders()).await?;
    let source = command.orders.source();
    let opened = sample::open(&source, &command.cache, command.load.samples_a_batch(), seed).await?;
    let (so_far, seen) = watch::channel(SoFar::default());
    telemetry::serve(&command.telemetry, report::readiness(seen.clone()), stop.clone()).await?;

    let (run, start, journal) = begin(&command, seed)?;
    if let (Source::Snapshot { .. }, Samples::Fixed(catalog)) = (&source, &opened.samples) {
        catalog.write(&command.run.runs.shard_folder(&run.run_id, run.shard).join("catalog.jsonl"))?;
    }
    let latency_log = latency_log(&command, &run)?;
    match run.shard {
        Shard::SINGLE => tracing::info!(run = %run.run_id, "sending"),
        shard => tracing::info!(run = %run.run_id, %shard, "sending"),
    }

    let delivery = Delivery::new(start, command.load.warm_up);
    let view = View { start, schedule: pacer.clone(), so_far: seen, refreshed_at: opened.refreshed_at.clone() };
    let paced = command.load.is_paced();
    let turns = matches!(command.orders.partitioning, Partitioning::Turns);
    let (told, statistics) = watch::channel(Vec::new());
    let mut config = client_config(&command.kafka, paced);
    if command.telemetry.listen.is_some() {
        config.set("statistics.interval.ms", "1000");
    }
    let publisher = Publisher {
        producer: client(&config, DeliveryContext { delivery: delivery.clone(), statistics: told })?,
        delivery: delivery.clone(),
        pacer,
        encoder: Encoder::new(run.tag, opened.samples, seed, command.orders.invalid),
        turns: turns.then(|| Turns::new(partitions, linger(paced))),
        topic: run.topic.clone(),
        flush_timeout: command.load.flush_timeout,
    };
    let helpers = [
        opened.follower.map(|follower| tokio::spawn(follower.run())),
        Some(tokio::spawn(statistics::export(statistics))),
    ];
    let showing = tokio::spawn(view.show());
    let recorder = Recorder { delivery, journal, latency_log, so_far, refreshed_at: opened.refreshed_at };
    let (sent, recorded) = send(publisher, recorder, stop).await?;
    helpers.into_iter().flatten().for_each(|helper| helper.abort());
    // Where there is no terminal, the task that shows the run sleeps between its lines: it isn't waited for.
    if tokio::time::timeout(Duration::from_millis(100), showing).await.is_err() {
        tracing::debug!("the progress was not shown to its end");
    }
    let summary = report::summarize(run.run_id, run.shard, &command.load, &sent, &recorded.tally);
    end(&command, &summary, recorded.unkept, sent.fatal)
}

/// Decides when the first order is due and creates the ledger. A disk that takes its time moves the start, unless it was
/// given.
fn begin(command: &Command, seed: u64) -> anyhow::Result<(Run, Start, Journal)> {
    let mut start = start(&command.load)?;
    let tag = command.run.tag();
    let mut run = Run {
        run_id: command.run.run_id.clone().unwrap_or_else(|| RunId::new(start.at, tag)),
        shard: command.run.shard(),
        tag,
        started_at: start.at,
        topic: command.topic.topic.clone(),
        backdated: command.load.backdate,
        settings: command.for_record(seed),
    };
    let journal = command.run.runs.create(&run)?;
    let fixed = command.load.start_at.is_some() && !command.load.backdate;
    while !fixed && start.instant < Instant::now() + LEAD / 2 {
        start = self::start(&command.load)?;
        run.started_at = start.at;
        command.run.runs.describe(&run)?;
    }
    Ok((run, start, journal))
}

/// When the first order is due: as asked, or as soon as the threads are there.
fn start(load: &LoadSettings) -> anyhow::Result<Start> {
    let (now, instant) = (Utc::now(), Instant::now());
    let soon = Start { instant: instant + LEAD, at: now + LEAD };
    let Some(at) = load.start_at else { return Ok(soon) };
    ensure!(
        at >= DateTime::UNIX_EPOCH && at.timestamp_nanos_opt().is_some(),
        "--start-at {at} is a time that no order's id can say: it must be between 1970 and 2262"
    );
    if load.backdate {
        ensure!(at < now, "--start-at {at} is not past: without --backdate the run waits for it");
        return Ok(Start { at, ..soon });
    }
    let wait = (at - now).to_std().ok().filter(|wait| *wait >= LEAD);
    let wait = wait.with_context(|| {
        format!("--start-at {at} is not {LEAD:?} or more from now; to date a run from then on, give --backdate as well")
    })?;
    Ok(Start { instant: instant + wait, at })
}

fn latency_log(command: &Command, run: &Run) -> anyhow::Result<LatencyLog> {
    let beside = || command.run.runs.shard_folder(&run.run_id, run.shard);
    let folder = command.run.stats_dir.clone().unwrap_or_else(beside);
    let name = format!("producer-{}-{}", run.run_id, run.tag);
    LatencyLog::open(&folder, &name).with_context(|| format!("the latency log can't be kept in {}", folder.display()))
}

/// Sends on a thread of its own and records what becomes of it, until both are done.
async fn send(publisher: Publisher, recorder: Recorder, stop: CancellationToken) -> anyhow::Result<(Sent, Recorded)> {
    let sent = CancellationToken::new();
    let (ended, done) = (sent.clone().drop_guard(), sent);
    let sending = std::thread::Builder::new().name("send".to_owned()).spawn(move || {
        let _ended = ended;
        publisher.run(&stop)
    })?;
    let recorded = recorder.run(done).await;
    let sent = tokio::task::spawn_blocking(move || sending.join()).await?;
    Ok((sent.map_err(|_| anyhow!("the sending thread panicked"))?, recorded))
}

/// Tells how the run ended. What the disk does not take is printed.
fn end(
    command: &Command,
    summary: &RunSummary,
    unkept: Option<Unkept>,
    fatal: Option<anyhow::Error>,
) -> anyhow::Result<Outcome> {
    let kept = command.run.runs.finish(summary);
    match command.output {
        OutputFormat::Json => println!("{}", serde_json::to_string_pretty(summary)?),
        OutputFormat::Text => println!("{}", report::table(summary)),
    }
    if let Some(Unkept { error, sequences }) = unkept {
        eprintln!("{}", report::sequences(&sequences));
        let missing = "the run was sent, but its ledger lacks what is printed above, and an audit will not be whole";
        return Err(error.context(missing));
    }
    kept.context("the run was sent; its summary is the one printed above")?;
    match fatal {
        Some(error) => Err(error),
        None if summary.verdict == Verdict::Valid => Ok(Outcome::Valid),
        None => Ok(Outcome::Invalid),
    }
}
