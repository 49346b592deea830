//! Shows one dead letter whole.

use std::time::Duration;

use anyhow::{Context, bail};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
};
use serde_json::{Map, Value, json};
use shared::{
    kafka::KafkaSettings,
    program::{Outcome, OutputFormat},
};

use super::letter::{Letter, Place};
use crate::settings::DlqSettings;

const CALL: Duration = Duration::from_secs(10);

/// Prints the letter at `place`. Blocks.
///
/// # Errors
/// When there is none, or the topic can't be read.
pub fn show(settings: &DlqSettings, place: Place) -> anyhow::Result<Outcome> {
    let letter = read(&settings.kafka, &settings.topic.dead_letter_topic(), place)?;
    let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    match settings.output {
        OutputFormat::Json => {
            let headers = letter.headers.iter().map(|(name, value)| (name.clone(), json!(text(value.as_deref()))));
            let shown = json!({
                "place": letter.place, "key": text(letter.key.as_deref()), "value": text(letter.value.as_deref()),
                "timestamp": letter.timestamp, "replays": letter.replays, "headers": headers.collect::<Map<String, Value>>(),
            });
            println!("{}", serde_json::to_string_pretty(&shown)?);
        }
        OutputFormat::Text => {
            for (name, value) in &letter.headers {
                println!("{name}: {}", text(value.as_deref()).unwrap_or_default());
            }
            println!("key: {}\n", letter.key_text());
            println!("{}", text(letter.value.as_deref()).unwrap_or_else(|| "(no value)".to_owned()));
        }
    }
    Ok(Outcome::Valid)
}

fn read(kafka: &KafkaSettings, topic: &str, place: Place) -> anyhow::Result<Letter> {
    let role = [("group.id", "orderflow-scan"), ("enable.auto.commit", "false"), ("enable.partition.eof", "true")];
    kafka.ensure_reachable()?;
    let client: BaseConsumer = kafka.client(&role).create().context("the Kafka settings are not usable")?;
    let nothing = || format!("there is no letter {place} in {topic}");
    let (first, end) = client.fetch_watermarks(topic, place.partition, CALL).with_context(nothing)?;
    if !(first..end).contains(&place.offset) {
        bail!("{}: that partition has {first} to {}", nothing(), end - 1);
    }
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(topic, place.partition, Offset::Offset(place.offset))?;
    client.assign(&from)?;
    loop {
        match client.poll(CALL).with_context(|| format!("topic {topic} can't be read"))? {
            Ok(record) => return Letter::read(&record).context("a header's name is not text and can't be read here"),
            Err(KafkaError::PartitionEOF(_)) => bail!(nothing()),
            Err(error) => tracing::debug!(%error, "the topic's reader goes on"),
        }
    }
}
