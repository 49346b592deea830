//! Emits synthetic orders at exactly the rate asked.

use std::{
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use chrono::{DateTime, Utc};
use producer::{
    deliver::{Delivery, Start, client},
    progress,
    publish::Publisher,
    record::{Recorder, SoFar},
    report, sample,
    settings::Command,
};
use shared::{
    kafka::ensure_topic,
    latency::LatencyLog,
    ledger::{Run, RunId, Verdict},
    order_id::RunTag,
    program::{self, Outcome, OutputFormat},
    shutdown, telemetry,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Time between the decision to start and the first due order, for the threads to be there.
const LEAD: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    program::run(run)
}

async fn run(command: Command) -> anyhow::Result<Outcome> {
    let stop = shutdown::on_signal()?;
    let seed = command.load.seed.unwrap_or_else(rand::random);
    let pacer = command.load.pacer(seed)?;
    ensure_topic(&command.kafka, &command.topic.orders()).await?;
    let redis = command.cache.connect(Duration::from_secs(10)).await?;
    let (sampler, samples) = sample::open(redis, command.cache.keys(), command.load.samples_a_batch()).await?;
    telemetry::serve(&command.telemetry, Arc::new(|| Ok(())), stop.clone()).await?;

    let tag = RunTag::random();
    let start = start(command.load.start_at)?;
    let run_id = command.ledger.run_id.clone().unwrap_or_else(|| RunId::new(start.at, tag));
    let run = Run {
        run_id: run_id.clone(),
        tag,
        started_at: start.at,
        topic: command.topic.topic.clone(),
        settings: command.for_record(seed),
    };
    let journal = command.ledger.runs.create(&run)?;
    let stats = command.ledger.stats_dir.clone().unwrap_or_else(|| command.ledger.runs.folder(&run_id));
    let latency_log = LatencyLog::open(&stats, &format!("producer-{run_id}"))
        .with_context(|| format!("the latency log can't be kept in {}", stats.display()))?;
    tracing::info!(run = %run_id, "sending");

    let delivery = Delivery::new(start, command.load.warm_up);
    let orders = pacer.expected();
    let publisher = Publisher {
        producer: client(&command.kafka, command.load.is_paced(), delivery.clone())?,
        delivery: delivery.clone(),
        pacer,
        samples,
        topic: command.topic.topic.clone(),
        tag,
        seed,
        flush_timeout: command.load.flush_timeout,
    };
    let (so_far, seen) = watch::channel(SoFar::default());
    let recorder = Recorder { delivery, journal, latency_log, so_far };
    let sampling = tokio::spawn(sampler.run());
    let showing = tokio::spawn(progress::show(orders, seen));
    let sent = CancellationToken::new();
    let (ended, done, stopped) = (sent.clone().drop_guard(), sent, stop.clone());
    let sending = std::thread::Builder::new().name("send".to_owned()).spawn(move || {
        let _ended = ended;
        publisher.run(&stopped)
    })?;
    let tally = recorder.run(done, &stop).await;
    sampling.abort();
    let sent = tokio::task::spawn_blocking(move || sending.join()).await?;
    let sent = sent.map_err(|_| anyhow!("the sending thread panicked"))?;
    // Where there is no terminal, the task that shows the run sleeps between its lines: it isn't waited for.
    if tokio::time::timeout(Duration::from_millis(100), showing).await.is_err() {
        tracing::debug!("the progress was not shown to its end");
    }
    let summary = report::summarize(run_id, &command.load, start, &sent, &tally?);
    command.ledger.runs.finish(&summary)?;
    match command.output {
        OutputFormat::Json => println!("{}", serde_json::to_string_pretty(&summary)?),
        OutputFormat::Text => println!("{}", report::table(&summary)),
    }
    match sent.fatal {
        Some(error) => Err(error),
        None if summary.verdict == Verdict::Valid => Ok(Outcome::Valid),
        None => Ok(Outcome::Invalid),
    }
}

/// When the first order is due: as asked, or as soon as the threads are there.
fn start(at: Option<DateTime<Utc>>) -> anyhow::Result<Start> {
    let (now, instant) = (Utc::now(), Instant::now());
    let at = at.unwrap_or(now + LEAD);
    let wait = (at - now).to_std().ok().filter(|wait| *wait >= LEAD);
    let wait = wait.with_context(|| format!("--start-at {at} is not {LEAD:?} or more from now"))?;
    Ok(Start { instant: instant + wait, at })
}
