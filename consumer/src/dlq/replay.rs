//! Sends orders to their topic again once the cause of their dead letters is gone.
//!
//! A replay can be interrupted and repeated: an order that is in the table is skipped, an order that is replayed twice
//! is stored once, and an order that is dead-lettered again has the number of its replays in a header.

use std::{collections::HashSet, fmt};

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
    dead_letter::{DeadLetter, OrderKey},
    scan::{LatestDeadLetters, visit_dead_letters},
};
use crate::settings::{DlqSettings, ReplaySelection};

/// Maximum number of orders in flight.
const MAX_IN_FLIGHT: usize = 1_000;

/// The number of orders by what the replay did with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReplayCounts {
    /// Sent to the topic again; with `--dry-run`, to be sent.
    pub replayed: u64,
    /// Skipped: in the table.
    #[serde(rename = "settled")]
    pub stored: u64,
    /// Skipped: replayed as often as `--max-replays` allows.
    pub too_often: u64,
    /// Skipped: the dead letter has no value, since it was too large or the record had none.
    pub without_value: u64,
}

impl fmt::Display for ReplayCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { replayed, stored, too_often, without_value } = self;
        write!(
            f,
            "{replayed} orders replayed; skipped: {stored} stored already, {too_often} at --max-replays, \
             {without_value} without a value"
        )
    }
}

/// Replays the selected orders and prints the counts.
///
/// # Errors
/// When a topic or the table fails, or at a `stop`; the message then has the counts.
pub async fn replay(
    settings: DlqSettings,
    selection: ReplaySelection,
    stop: CancellationToken,
) -> anyhow::Result<Outcome> {
    let DlqSettings { output, kafka, topic, database } = settings;
    let (database, topic) = (database.settings()?, topic.dead_letter_topic());
    let (reading, name) = (kafka.clone(), topic.clone());
    let latest = tokio::task::spawn_blocking(move || LatestDeadLetters::read(&reading, &name)).await??;
    let stored = latest.find_stored(&database).await?;
    let role = [("acks", "all"), ("enable.idempotence", "true"), ("compression.type", "lz4"), ("linger.ms", "5")];
    let producer: FutureProducer = kafka.client(&role).create().context("the Kafka settings are not usable")?;
    let (runtime, dry_run) = (tokio::runtime::Handle::current(), selection.dry_run);
    let (in_flight, counts) = (Vec::new(), ReplayCounts::default());
    let mut replay = Replay { latest, stored, selection, producer, runtime, stop, in_flight, counts };
    let counts = tokio::task::spawn_blocking(move || {
        visit_dead_letters(&kafka, &topic, |dead_letter| replay.visit(&dead_letter))?;
        replay.wait_for_acknowledgements()?;
        anyhow::Ok(replay.counts)
    })
    .await??;
    match output {
        OutputFormat::Json => println!("{}", serde_json::to_string_pretty(&counts)?),
        OutputFormat::Text if dry_run => println!("dry run: {counts}"),
        OutputFormat::Text => println!("{counts}"),
    }
    Ok(Outcome::Valid)
}

/// What is done with a dead letter.
enum Choice {
    Replay,
    SkipStored,
    SkipTooOften,
    SkipWithoutValue,
    /// Not counted: not the latest one of its order, not of the selected kind, or beyond `--limit`.
    Ignore,
}

/// A replay that is running.
struct Replay {
    latest: LatestDeadLetters,
    /// The orders that are in the table.
    stored: HashSet<OrderKey>,
    selection: ReplaySelection,
    producer: FutureProducer,
    runtime: tokio::runtime::Handle,
    stop: CancellationToken,
    in_flight: Vec<DeliveryFuture>,
    counts: ReplayCounts,
}

impl Replay {
    fn visit(&mut self, dead_letter: &DeadLetter) -> anyhow::Result<()> {
        match self.choose(dead_letter) {
            Choice::Replay => self.send(dead_letter)?,
            Choice::SkipStored => self.counts.stored += 1,
            Choice::SkipTooOften => self.counts.too_often += 1,
            Choice::SkipWithoutValue => self.counts.without_value += 1,
            Choice::Ignore => {}
        }
        Ok(())
    }

    fn choose(&self, dead_letter: &DeadLetter) -> Choice {
        let Self { latest, stored, selection, counts, .. } = self;
        let is_of_other_kind = selection.kind.as_ref().is_some_and(|kind| *kind != dead_letter.kind());
        if is_of_other_kind || !latest.contains(dead_letter) {
            Choice::Ignore
        } else if stored.contains(&dead_letter.order) {
            Choice::SkipStored
        } else if dead_letter.replays >= selection.max_replays {
            Choice::SkipTooOften
        } else if dead_letter.value.is_none() {
            Choice::SkipWithoutValue
        } else if selection.limit.is_some_and(|limit| counts.replayed >= limit) {
            Choice::Ignore
        } else {
            Choice::Replay
        }
    }

    fn send(&mut self, dead_letter: &DeadLetter) -> anyhow::Result<()> {
        if self.stop.is_cancelled() {
            self.wait_for_acknowledgements()?;
            bail!("interrupted: {}; repeat the command to replay the rest", self.counts);
        }
        if !self.selection.dry_run {
            self.in_flight.push(send(&self.producer, dead_letter)?);
        }
        self.counts.replayed += 1;
        if self.in_flight.len() >= MAX_IN_FLIGHT {
            self.wait_for_acknowledgements()?;
        }
        Ok(())
    }

    fn wait_for_acknowledgements(&mut self) -> anyhow::Result<()> {
        for delivery in self.in_flight.drain(..) {
            let delivered = self.runtime.block_on(delivery)?;
            delivered.map_err(|(error, _)| error).context("an order was not replayed: repeat the command")?;
        }
        Ok(())
    }
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
