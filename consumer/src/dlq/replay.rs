//! Puts orders back on their topic once what made them dead letters is gone.
//!
//! Safe to interrupt and to repeat: an order that is in the table is left alone, one that goes twice is stored once, and one
//! that comes back as a dead letter carries how often it was put back.

use std::fmt;

use anyhow::{Context, bail};
use rdkafka::{
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord, future_producer::DeliveryFuture},
};
use serde::Serialize;
use shared::program::{Outcome, OutputFormat};
use tokio_util::sync::CancellationToken;

use super::{
    Latest,
    letter::{Letter, REPLAY_COUNT},
    letters,
};
use crate::settings::DlqSettings;

/// Orders on their way at once.
const AT_ONCE: usize = 1_000;

/// Which letters are put back.
#[derive(Clone, Debug, clap::Args)]
pub struct Choice {
    /// Only those of this kind, as `dlq list` names it.
    #[arg(long)]
    pub kind: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "NUMBER")]
    pub limit: Option<u64>,
    /// Not those that were put back so often already, and came back.
    #[arg(long, default_value_t = 3, value_name = "NUMBER")]
    pub max_replays: u32,
    /// Only say what would be done.
    #[arg(long)]
    pub dry_run: bool,
}

/// What was done with the orders that have dead letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// Put back, or to be put back.
    pub replayed: u64,
    /// Left alone: in the table by now.
    pub settled: u64,
    /// Left alone: put back too often already.
    pub too_often: u64,
    /// Left alone: the letter lacks the value, which was too large for it or never there.
    pub without_value: u64,
}

impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} orders put back; left alone: {} in the table by now, {} put back too often already, {} without a value",
            self.replayed, self.settled, self.too_often, self.without_value
        )
    }
}

/// Puts the chosen orders back and prints how many.
///
/// # Errors
/// When a topic or the table fails, or `stop` comes first; what was put back until then is said.
pub async fn replay(settings: DlqSettings, choice: Choice, stop: CancellationToken) -> anyhow::Result<Outcome> {
    let DlqSettings { output, kafka, topic, database } = settings;
    let (database, topic) = (database.settings()?, topic.dead_letter_topic());
    let (reading, name) = (kafka.clone(), topic.clone());
    let latest = tokio::task::spawn_blocking(move || Latest::of(&reading, &name)).await??;
    let settled = latest.settled(&database).await?;
    let role = [("acks", "all"), ("enable.idempotence", "true"), ("compression.type", "lz4"), ("linger.ms", "5")];
    let producer: FutureProducer = kafka.client(&role).create().context("the Kafka settings are not usable")?;
    let runtime = tokio::runtime::Handle::current();
    let dry_run = choice.dry_run;
    let replayed = tokio::task::spawn_blocking(move || {
        let mut done = Replayed::default();
        let mut on_their_way = Vec::new();
        letters(&kafka, &topic, |letter| {
            if !latest.is(&letter) || choice.kind.as_ref().is_some_and(|kind| *kind != letter.kind()) {
                return Ok(());
            }
            if settled.contains(&letter.identity) {
                done.settled += 1;
            } else if letter.replays >= choice.max_replays {
                done.too_often += 1;
            } else if letter.value.is_none() {
                done.without_value += 1;
            } else if choice.limit.is_none_or(|limit| done.replayed < limit) {
                if stop.is_cancelled() {
                    runtime.block_on(acknowledged(&mut on_their_way))?;
                    bail!("interrupted: {done}; the rest can be put back by the same command");
                }
                if !choice.dry_run {
                    on_their_way.push(put_back(&producer, &letter)?);
                }
                done.replayed += 1;
                if on_their_way.len() >= AT_ONCE {
                    runtime.block_on(acknowledged(&mut on_their_way))?;
                }
            }
            Ok(())
        })?;
        runtime.block_on(acknowledged(&mut on_their_way))?;
        anyhow::Ok(done)
    })
    .await??;
    match output {
        OutputFormat::Json => println!("{}", serde_json::to_string_pretty(&replayed)?),
        OutputFormat::Text if dry_run => println!("would be done: {replayed}"),
        OutputFormat::Text => println!("{replayed}"),
    }
    Ok(Outcome::Valid)
}

fn put_back(producer: &FutureProducer, letter: &Letter) -> anyhow::Result<DeliveryFuture> {
    let topic = letter.header("dlq-topic");
    let count = (letter.replays + 1).to_string();
    let own = letter
        .own_headers()
        .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: value.as_ref() }));
    let mut record: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(&topic);
    record.key = letter.key.as_deref();
    record.payload = letter.value.as_deref();
    record.timestamp = letter.timestamp;
    record.headers = Some(own.insert(Header { key: REPLAY_COUNT, value: Some(&count) }));
    producer.send_result(record).map_err(|(error, _)| error).with_context(|| format!("letter {}", letter.place))
}

/// Waits until the brokers have them all.
async fn acknowledged(on_their_way: &mut Vec<DeliveryFuture>) -> anyhow::Result<()> {
    for delivery in on_their_way.drain(..) {
        delivery.await?.map_err(|(error, _)| error).context("an order was not put back; repeat the command")?;
    }
    Ok(())
}
