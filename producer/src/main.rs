//! Emits synthetic orders at exactly the rate asked.

use std::{
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use chrono::Utc;
use producer::{
    progress,
    publish::{Delivery, Publisher, Start, client},
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
    ensure_topic(&command.kafka, &command.topic.orders()).await?;
    let redis = command.cache.connect(Duration::from_secs(10)).await?;
    let (sampler, samples) = sample::open(redis, command.cache.keys(), batch_size(&command)).await?;
    telemetry::serve(&command.telemetry, Arc::new(|| Ok(())), stop.clone()).await?;

    let tag = RunTag::random();
    let start = Start { instant: Instant::now() + LEAD, at: Utc::now() + LEAD };
    let run_id = command.ledger.run_id.clone().unwrap_or_else(|| RunId::new(start.at, tag));
    let run = Run {
        run_id: run_id.clone(),
        tag,
        started_at: start.at,
        topic: command.topic.topic.clone(),
        settings: command.for_record(),
    };
    let journal = command.ledger.runs.create(&run)?;
    let stats = command.ledger.stats_dir.clone().unwrap_or_else(|| command.ledger.runs.folder(&run_id));
    let latency_log = LatencyLog::open(&stats, &format!("producer-{run_id}"))
        .with_context(|| format!("the latency log can't be kept in {}", stats.display()))?;
    tracing::info!(run = %run_id, rate = command.load.rate.per_second(), "sending");

    let delivery = Delivery::new(command.load.rate, start);
    let publisher = Publisher {
        producer: client(&command.kafka, delivery.clone())?,
        delivery: delivery.clone(),
        samples,
        topic: command.topic.topic.clone(),
        tag,
        orders: command.load.orders(),
        flush_timeout: command.load.flush_timeout,
    };
    let (so_far, seen) = watch::channel(SoFar::default());
    let recorder = Recorder { delivery, journal, latency_log, so_far };
    let sampling = tokio::spawn(sampler.run());
    let showing = tokio::spawn(progress::show(command.load.clone(), seen));
    let sent = CancellationToken::new();
    let (ended, done, stopped) = (sent.clone().drop_guard(), sent, stop.clone());
    let sending = std::thread::Builder::new().name("send".to_owned()).spawn(move || {
        let _ended = ended;
        publisher.run(&stopped)
    })?;
    let tally = recorder.run(done, &stop).await;
    sampling.abort();
    let published = tokio::task::spawn_blocking(move || sending.join()).await?;
    // Where there is no terminal, the task that shows the run sleeps between its lines: it isn't waited for.
    if tokio::time::timeout(Duration::from_millis(100), showing).await.is_err() {
        tracing::debug!("the progress was not shown to its end");
    }
    let summary = report::summarize(run_id, command.load.rate, start, &tally?);
    command.ledger.runs.finish(&summary)?;
    match command.output {
        OutputFormat::Json => println!("{}", serde_json::to_string_pretty(&summary)?),
        OutputFormat::Text => println!("{}", report::table(&summary)),
    }
    published.map_err(|_| anyhow::anyhow!("the sending thread panicked"))??;
    Ok(if summary.verdict == Verdict::Valid { Outcome::Valid } else { Outcome::Invalid })
}

/// A twentieth of a second's orders, within reason: few calls at a high rate, fresh rows at a low one.
fn batch_size(command: &Command) -> usize {
    (command.load.rate.per_second() / 20.0).clamp(500.0, 5_000.0) as usize
}
