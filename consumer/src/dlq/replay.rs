//! Puts orders back on their topic once the cause of their dead letters is gone.
//!
//! Safe to interrupt and to repeat: an order that is in the table is skipped, one that is replayed twice is stored
//! once, and one that is dead-lettered again carries the number of its replays.

use std::fmt;

use anyhow::{Context, bail};
use rdkafka::{
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord, future_producer::DeliveryFuture},
};
use serde::Serialize;
use shared::{
    dlq_headers,
    program::{Outcome, OutputFormat},
};
use tokio_util::sync::CancellationToken;

use super::{
    dead_letter::DeadLetter,
    scan::{LatestDeadLetters, visit_dead_letters},
};
use crate::settings::{DlqSettings, ReplaySelection};

/// The orders that are in flight at most.
const MAX_IN_FLIGHT: usize = 1_000;

/// The orders that have dead letters, by what the replay did with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// Put back on the topic; with `--dry-run`, to be put back.
    pub replayed: u64,
    /// Skipped: in the table by now.
    pub settled: u64,
    /// Skipped: replayed as often as `--max-replays` allows.
    pub too_often: u64,
    /// Skipped: the dead letter has no value, since it was too large or the record had none.
    pub without_value: u64,
}

impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} orders replayed; skipped: {} in the table by now, {} replayed too often already, {} without a value",
            self.replayed, self.settled, self.too_often, self.without_value
        )
    }
}

/// Replays the selected orders and prints the counts.
///
/// # Errors
/// When a topic or the table fails, or at a `stop`; the message then has the counts so far.
pub async fn replay(
    settings: DlqSettings,
    selection: ReplaySelection,
    stop: CancellationToken,
) -> anyhow::Result<Outcome> {
    let DlqSettings { output, kafka, topic, database } = settings;
    let (database, topic) = (database.settings()?, topic.dead_letter_topic());
    let (reading, name) = (kafka.clone(), topic.clone());
    let latest = tokio::task::spawn_blocking(move || LatestDeadLetters::read(&reading, &name)).await??;
    let settled = latest.settled(&database).await?;
    let role = [("acks", "all"), ("enable.idempotence", "true"), ("compression.type", "lz4"), ("linger.ms", "5")];
    let producer: FutureProducer = kafka.client(&role).create().context("the Kafka settings are not usable")?;
    let runtime = tokio::runtime::Handle::current();
    let dry_run = selection.dry_run;
    let replayed = tokio::task::spawn_blocking(move || {
        let mut counts = Replayed::default();
        let mut in_flight = Vec::new();
        visit_dead_letters(&kafka, &topic, |dead_letter| {
            if !latest.contains(&dead_letter) || selection.kind.as_ref().is_some_and(|kind| *kind != dead_letter.kind())
            {
                return Ok(());
            }
            if settled.contains(&dead_letter.order) {
                counts.settled += 1;
            } else if dead_letter.replays >= selection.max_replays {
                counts.too_often += 1;
            } else if dead_letter.value.is_none() {
                counts.without_value += 1;
            } else if selection.limit.is_none_or(|limit| counts.replayed < limit) {
                if stop.is_cancelled() {
                    runtime.block_on(wait_for_acknowledgements(&mut in_flight))?;
                    bail!("interrupted: {counts}; the same command replays the rest");
                }
                if !selection.dry_run {
                    in_flight.push(send(&producer, &dead_letter)?);
                }
                counts.replayed += 1;
                if in_flight.len() >= MAX_IN_FLIGHT {
                    runtime.block_on(wait_for_acknowledgements(&mut in_flight))?;
                }
            }
            Ok(())
        })?;
        runtime.block_on(wait_for_acknowledgements(&mut in_flight))?;
        anyhow::Ok(counts)
    })
    .await??;
    match output {
        OutputFormat::Json => println!("{}", serde_json::to_string_pretty(&replayed)?),
        OutputFormat::Text if dry_run => println!("dry run: {replayed}"),
        OutputFormat::Text => println!("{replayed}"),
    }
    Ok(Outcome::Valid)
}

fn send(producer: &FutureProducer, dead_letter: &DeadLetter) -> anyhow::Result<DeliveryFuture> {
    let topic = dead_letter.header(dlq_headers::TOPIC);
    let count = (dead_letter.replays + 1).to_string();
    let original = dead_letter
        .original_headers()
        .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: value.as_ref() }));
    let mut record: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(&topic);
    record.key = dead_letter.key.as_deref();
    record.payload = dead_letter.value.as_deref();
    record.timestamp = dead_letter.timestamp;
    record.headers = Some(original.insert(Header { key: dlq_headers::REPLAY_COUNT, value: Some(&count) }));
    producer
        .send_result(record)
        .map_err(|(error, _)| error)
        .with_context(|| format!("dead letter {}", dead_letter.position))
}

async fn wait_for_acknowledgements(in_flight: &mut Vec<DeliveryFuture>) -> anyhow::Result<()> {
    for delivery in in_flight.drain(..) {
        delivery.await?.map_err(|(error, _)| error).context("an order was not replayed: repeat the command")?;
    }
    Ok(())
}
