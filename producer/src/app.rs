//! Connects the parts of the producer and runs them: settings, connections, run, summary.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, anyhow};
use rdkafka::ClientConfig;
use shared::{
    health::Dependency,
    kafka::ensure_topic,
    ledger::{Counts, Run, RunSummary, Shard, Verdict},
    program::{Outcome, OutputFormat, ProgramArgs},
    service_manager::{self, Heartbeat},
    shutdown, telemetry,
    traces::SpanExport,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    catalog_export,
    generate::{ChangeEncoder, Encoder},
    health::{ProducerHealth, ProducerIssue},
    ledger::{
        client_stats,
        earlier::EarlierOrders,
        earlier_changes::{EarlierHistories, OrderPartitions},
        live_stats::LiveStats,
        open_ledger::{RunLedger, open_ledger},
        recorder::{Recorded, Recorder, UnsavedEntries},
        reopen_ledger::reopen_ledger,
    },
    lifecycle::{Histories, MAX_PENDING, PendingChanges, Plans},
    lifecycle_export, metrics,
    pace::Pacer,
    report::{
        progress::ProgressDisplay,
        summary::summarize,
        text::{sequence_ranges, table},
    },
    sample::{self, OpenSource, Source},
    send::{
        client::{ClientLimits, client, client_config, linger, partitioner_window},
        client_orders::ClientOrders,
        delivery::{DeliveryContext, DeliveryTracker},
        partition_queue::{PartitionQueues, WaitPolicy},
        partitioner::{PartitionChooser, Partitioner},
        publisher::{Publisher, Sent},
        spans::OrderSpans,
    },
    settings::{Action, Command, RunPlan},
};

/// Timeout of the progress display at the end of a run. It may sleep until its next log line.
const DISPLAY_END_TIMEOUT: Duration = Duration::from_millis(100);

/// A run that is ready to start.
struct PreparedRun {
    plan: RunPlan,
    partitions: usize,
    source: OpenSource,
    ledger: RunLedger,
    live_stats: watch::Sender<LiveStats>,
    health: Arc<ProducerHealth>,
}

/// Sends the orders of a run, or prints the builtin catalog.
///
/// # Errors
/// When the run can't be started, fails, or its ledger is incomplete.
pub async fn run(command: Command) -> anyhow::Result<Outcome> {
    match &command.action {
        Some(Action::Catalog(settings)) => catalog_export::print(settings).map(|()| Outcome::Valid),
        Some(Action::Completions(settings)) => settings.print::<Command>(),
        Some(Action::Lifecycle) => lifecycle_export::print().map(|()| Outcome::Valid),
        None => send_orders(&command).await,
    }
}

async fn send_orders(command: &Command) -> anyhow::Result<Outcome> {
    let stop = shutdown::on_signal()?;
    let prepared = prepare(command, &stop).await?;
    let run = &prepared.ledger.run;
    let (run_id, shard) = (run.run_id.clone(), run.shard);
    telemetry::log_run_id(&run_id);
    match shard {
        Shard::SINGLE => tracing::info!(run = %run_id, "sending"),
        shard => tracing::info!(run = %run_id, %shard, "sending"),
    }
    let (sent, recorded, earlier) = execute(command, prepared, stop).await?;
    let summary = summarize(run_id, shard, command, &sent, &recorded.tally, earlier.as_ref());
    conclude(command, &summary, recorded.unsaved, sent.fatal)
}

/// Checks the settings, connects to the services and creates the ledger.
async fn prepare(command: &Command, stop: &CancellationToken) -> anyhow::Result<PreparedRun> {
    let plan = command.plan().unwrap_or_else(|error| error.exit());
    let partitions = ensure_topic(&command.kafka, &command.topic.orders()).await?;
    let opened = sample::open(&plan.source, &command.cache, command.load.sample_batch_size(), plan.seed).await?;
    let live_stats = watch::Sender::new(LiveStats::default());
    let health = Arc::new(health(&plan.source));
    telemetry::serve(&command.telemetry, Command::PROGRAM, health.source(), stop.clone()).await?;
    metrics::register();
    if plan.lifecycle.is_some() {
        metrics::register_changes();
    }
    let ledger = match &command.run.run_id {
        Some(id) if command.run.resume => reopen_ledger(command, id, &plan)?,
        _ => open_ledger(command, &plan, &opened.samples)?,
    };
    Ok(PreparedRun { plan, partitions, source: opened, ledger, live_stats, health })
}

/// Not ready before the first order. A catalog, also one that was read from Redis, needs no Redis any more.
fn health(source: &Source) -> ProducerHealth {
    let health = ProducerHealth::with_issue(ProducerIssue::NotStarted, "nothing has been sent yet");
    if matches!(source, Source::Redis) { health } else { health.without(Dependency::Redis) }
}

/// Sends the orders, and records and shows the run meanwhile.
async fn execute(
    command: &Command,
    prepared: PreparedRun,
    stop: CancellationToken,
) -> anyhow::Result<(Sent, Recorded, Option<EarlierOrders>)> {
    let PreparedRun { plan, partitions, source, ledger, live_stats, health } = prepared;
    let RunLedger { run, clock, mut journal, latency_log, earlier } = ledger;
    let OpenSource { samples, prefetcher, cache_age } = source;
    let (sampler, span_export) = (command.traces.sampler(), start_span_export(command, &run)?);
    let RunPlan { seed, mut pacer, lifecycle, .. } = plan;
    let mut encoder = Encoder::new(run.tag, samples, seed, command.orders.invalid).with_traces(sampler);
    let plans = || lifecycle.as_ref().map(|chosen| Plans::new(chosen.lifecycle.clone(), seed));
    let mut histories = plans().map(|plans| Histories::new(plans, PendingChanges::new(MAX_PENDING)));
    let earlier = match earlier {
        Some(results) => {
            let continued = earlier_histories(command, &run, histories.as_mut()).await?;
            Some(EarlierOrders::take(&mut pacer, &mut encoder, clock, &results, continued)?)
        }
        None => None,
    };
    if let Some(earlier) = &earlier {
        journal.append(&earlier.unknown_invalid)?;
        live_stats.send_modify(|stats| stats.add_earlier(earlier.counts()));
        log_resumption(earlier, &pacer);
    }
    let spans = sampler.zip(span_export.clone());
    let spans = spans.map(|(sampler, export)| OrderSpans::new(sampler, export, clock, &run));
    let tracker = DeliveryTracker::new(clock, command.load.warm_up(), spans, histories);
    let statistics = watch::Sender::new(Vec::new());
    let background = [
        prefetcher.map(|prefetcher| tokio::spawn(prefetcher.run(health.clone()))),
        Some(tokio::spawn(client_stats::export(statistics.subscribe()))),
    ];
    let (schedule, cache) = (pacer.clone(), cache_age.clone());
    let progress =
        ProgressDisplay { clock, schedule: schedule.clone(), live_stats: live_stats.subscribe(), cache_age: cache };
    let showing = tokio::spawn(progress.show());
    let client_orders = ClientOrders::new(partitions);
    let wait_policy = match command.load.is_paced() {
        true => WaitPolicy::UntilAcknowledged,
        false => WaitPolicy::UntilFirstAcknowledged,
    };
    let config = kafka_config(command);
    let context = DeliveryContext { tracker: tracker.clone(), client_orders: client_orders.clone(), statistics };
    let heartbeat = Heartbeat::default();
    let notifications = service_manager::notify(health.source(), heartbeat.clone(), &stop);
    let publisher = Publisher {
        client: client(&config, context)?,
        clock,
        tracker: tracker.clone(),
        pacer,
        encoder,
        partitioner: partitioner(command, &config, partitions),
        queues: PartitionQueues::new(client_orders, wait_policy, client_limits(command, &config)),
        topic: run.topic,
        changes: plans().map(|plans| ChangeEncoder::new(run.tag, plans)),
        flush_timeout: command.load.flush_timeout,
        heartbeat,
    };
    let recorder = Recorder { clock, schedule, tracker, journal, latency_log, live_stats, cache_age, health };
    let (sent, recorded) = send_and_record(publisher, recorder, stop).await?;
    background.into_iter().flatten().for_each(|task| task.abort());
    notifications.close().await;
    if let Some(export) = span_export {
        export.close().await;
    }
    if tokio::time::timeout(DISPLAY_END_TIMEOUT, showing).await.is_err() {
        tracing::debug!("progress display: not ended within {DISPLAY_END_TIMEOUT:?}");
    }
    Ok((sent, recorded, earlier))
}

/// `None` when no order is traced.
fn start_span_export(command: &Command, run: &Run) -> anyhow::Result<Option<Arc<SpanExport>>> {
    match command.traces.sampler() {
        Some(_) => SpanExport::start(&command.traces.export, Command::PROGRAM, format!("{}-{}", run.run_id, run.tag)),
        None => Ok(None),
    }
}

/// Continues the histories of the killed producer's orders, whose partitions the topic has. `None` for a run without
/// lifecycles.
async fn earlier_histories<'a>(
    command: &Command,
    run: &Run,
    histories: Option<&'a mut Histories>,
) -> anyhow::Result<Option<EarlierHistories<'a>>> {
    let Some(histories) = histories else { return Ok(None) };
    tracing::info!(topic = run.topic, "reading the partitions of the earlier orders");
    Ok(Some(EarlierHistories::new(OrderPartitions::read_with_retries(&command.kafka, run).await?, histories)))
}

fn log_resumption(earlier: &EarlierOrders, pacer: &Pacer) {
    let Counts { acknowledged, failed, unknown, .. } = earlier.counts();
    tracing::info!(
        acknowledged,
        failed,
        unknown,
        "resuming with order {}; the orders before it are not sent again",
        pacer.next_number()
    );
    let without_record = earlier.changes.as_ref().map_or(0, |changes| changes.orders_without_record);
    if without_record > 0 {
        tracing::warn!(
            "{without_record} acknowledged orders are not in the topic any more: they do not go on, and their changes \
             count as skipped"
        );
    }
}

fn kafka_config(command: &Command) -> ClientConfig {
    let mut config = client_config(&command.kafka, command.linger());
    if command.telemetry.listen.is_some() {
        config.set("statistics.interval.ms", "1000");
    }
    config
}

fn client_limits(command: &Command, config: &ClientConfig) -> ClientLimits {
    let limits = ClientLimits::of(config);
    if command.traces.sampler().is_some() { limits.with_traces() } else { limits }
}

/// `None` when `--kafka-config` has another hash of the key.
fn partitioner(command: &Command, config: &ClientConfig, partitions: usize) -> Option<PartitionChooser> {
    let (partitioner, window) = (command.orders.partitioner, partitioner_window(linger(config)));
    let is_of_client = partitioner == Partitioner::Key && config.get("partitioner").is_some();
    (!is_of_client).then(|| PartitionChooser::new(partitioner, partitions, window))
}

/// Sends on a thread of its own and records until all delivery reports have arrived.
async fn send_and_record(
    publisher: Publisher,
    recorder: Recorder,
    stop: CancellationToken,
) -> anyhow::Result<(Sent, Recorded)> {
    let done = CancellationToken::new();
    // Cancelled when the thread ends, even by a panic.
    let cancel_done = done.clone().drop_guard();
    let sending = std::thread::Builder::new().name("send".to_owned()).spawn(move || {
        let _cancel_done = cancel_done;
        publisher.run(&stop)
    })?;
    let recorded = recorder.run(done).await;
    let sent = tokio::task::spawn_blocking(move || sending.join()).await?;
    Ok((sent.map_err(|_| anyhow!("the sending thread panicked"))?, recorded))
}

/// Stores and prints the summary. The error has the entries that are missing from the ledger.
fn conclude(
    command: &Command,
    summary: &RunSummary,
    unsaved: Option<UnsavedEntries>,
    fatal: Option<anyhow::Error>,
) -> anyhow::Result<Outcome> {
    let stored = command.run.runs.finish(summary);
    match command.output {
        OutputFormat::Json => println!("{}", serde_json::to_string_pretty(summary)?),
        OutputFormat::Text => println!("{}", table(summary)),
    }
    for result in summary.requirements.iter().filter(|result| !result.met) {
        tracing::warn!("requirement not met: {}: measured {}", result.requirement, result.measured_text());
    }
    if let Some(UnsavedEntries { error, sequences }) = unsaved {
        return Err(error.context(format!(
            "the orders were sent, but an audit will be incomplete, since the run ledger lacks these entries: {}",
            sequence_ranges(&sequences)
        )));
    }
    stored.context("the orders were sent, but the summary printed above is not in the run ledger")?;
    match fatal {
        Some(error) => Err(error),
        None if summary.verdict == Verdict::Valid => Ok(Outcome::Valid),
        None => Ok(Outcome::Invalid),
    }
}
