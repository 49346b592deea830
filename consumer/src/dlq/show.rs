//! Prints one dead letter with all of its headers.

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

use super::{
    dead_letter::DeadLetter,
    printable::{printable, printable_lines},
};
use crate::{model::RecordPosition, settings::DlqSettings};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Prints the dead letter at `position`. Blocks.
///
/// # Errors
/// When there is none, or the topic can't be read.
pub fn show(settings: &DlqSettings, position: RecordPosition) -> anyhow::Result<Outcome> {
    let dead_letter = read(&settings.kafka, &settings.topic.dead_letter_topic(), position)?;
    match settings.output {
        OutputFormat::Json => {
            let headers = dead_letter.headers.iter().map(|(name, value)| (name.clone(), json!(text(value.as_deref()))));
            let shown = json!({
                "position": dead_letter.position, "key": text(dead_letter.key.as_deref()),
                "value": text(dead_letter.value.as_deref()),
                "timestamp": dead_letter.timestamp, "replays": dead_letter.replays,
                "headers": headers.collect::<Map<String, Value>>(),
            });
            println!("{}", serde_json::to_string_pretty(&shown)?);
        }
        OutputFormat::Text => print!("{}", lines(&dead_letter)),
    }
    Ok(Outcome::Valid)
}

fn text(bytes: Option<&[u8]>) -> Option<String> {
    bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

/// One line per header, the key, and the value.
fn lines(dead_letter: &DeadLetter) -> String {
    let mut lines = String::new();
    for (name, value) in &dead_letter.headers {
        lines += &format!("{}: {}\n", printable(name), printable(&text(value.as_deref()).unwrap_or_default()));
    }
    let value = text(dead_letter.value.as_deref());
    let value = value.map_or_else(|| "(no value)".to_owned(), |value| printable_lines(&value));
    lines + &format!("key: {}\n\n{value}\n", printable(&dead_letter.key_text()))
}

fn read(kafka: &KafkaSettings, topic: &str, position: RecordPosition) -> anyhow::Result<DeadLetter> {
    let role = [("group.id", "orderflow-scan"), ("enable.auto.commit", "false"), ("enable.partition.eof", "true")];
    kafka.ensure_reachable()?;
    let client: BaseConsumer = kafka.client(&role).create().context("the Kafka settings are not usable")?;
    let missing = || format!("there is no dead letter {position} in {topic}");
    let (first, end) = client.fetch_watermarks(topic, position.partition, REQUEST_TIMEOUT).with_context(missing)?;
    if !(first..end).contains(&position.offset) {
        bail!("{}: the partition has offsets {first} to {}", missing(), end - 1);
    }
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(topic, position.partition, Offset::Offset(position.offset))?;
    client.assign(&from)?;
    loop {
        match client.poll(REQUEST_TIMEOUT).with_context(|| format!("topic {topic} can't be read"))? {
            Ok(record) => {
                return DeadLetter::parse(&record)
                    .context("a header's name is not UTF-8: the dead letter can't be read");
            }
            Err(KafkaError::PartitionEOF(_)) => bail!(missing()),
            Err(error) => tracing::debug!("Kafka: error while reading {topic}, retrying: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_record_contains_is_shown_without_its_control_characters() {
        let hostile = || b"\x1b[2J\ndlq-kind: forged".to_vec();
        let headers = vec![("trace".to_owned(), Some(hostile())), ("dlq-kind".to_owned(), Some(b"malformed".to_vec()))];
        let position = RecordPosition { partition: 0, offset: 0 };
        let shown =
            lines(&DeadLetter::new(position, Some(hostile()), Some(b"{\n\x1b]0;a\x07}".to_vec()), None, headers));
        let expected = "trace: \\u{1b}[2J\\ndlq-kind: forged\ndlq-kind: malformed\n\
                        key: \\u{1b}[2J\\ndlq-kind: forged\n\n{\n\\u{1b}]0;a\\u{7}}\n";
        assert_eq!(shown, expected);
    }
}
