//! Kafka: the connection, and the topic of the orders.

use std::time::Duration;

use anyhow::{Context, bail};
use rdkafka::{
    consumer::{BaseConsumer, Consumer},
    metadata::{MetadataPartition, MetadataTopic},
    types::RDKafkaRespErr,
};
use shared::kafka::KafkaSettings;

use super::finding::Findings;

const METADATA_TIMEOUT: Duration = Duration::from_secs(5);

pub async fn check(kafka: KafkaSettings, topic: String) -> Findings {
    let blocking = move || {
        let mut findings = Findings::about("Kafka");
        if let Err(error) = check_blocking(&kafka, &topic, &mut findings) {
            findings.failed("connection", format!("{error:#}"));
        }
        findings
    };
    tokio::task::spawn_blocking(blocking).await.unwrap_or_else(|error| {
        let mut findings = Findings::about("Kafka");
        findings.failed("connection", error.to_string());
        findings
    })
}

fn check_blocking(kafka: &KafkaSettings, topic: &str, findings: &mut Findings) -> anyhow::Result<()> {
    kafka.ensure_reachable()?;
    let client: BaseConsumer = kafka.client(&[]).create()?;
    let metadata = client.fetch_metadata(Some(topic), METADATA_TIMEOUT).context("the metadata can't be read")?;
    let brokers = metadata.brokers().len();
    findings.ok("connection", format!("{brokers} brokers: {}", kafka.brokers.replace(',', ", ")));
    let Some(found) = metadata.topics().first() else { bail!("the metadata has no topic {topic}") };
    match found.error() {
        None => check_partitions(found, findings),
        Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) => {
            findings.warning("topic", format!("{topic} does not exist: producer and consumer create it"));
        }
        Some(error) => findings.failed("topic", format!("{topic} can't be read: {error:?}")),
    }
    Ok(())
}

fn check_partitions(topic: &MetadataTopic, findings: &mut Findings) {
    let partitions = topic.partitions();
    let ids = |is_wanted: &dyn Fn(&MetadataPartition) -> bool| -> Vec<i32> {
        partitions.iter().filter(|partition| is_wanted(partition)).map(MetadataPartition::id).collect()
    };
    let leaderless = ids(&|partition| partition.leader() < 0);
    let behind = ids(&|partition| partition.isr().len() < partition.replicas().len());
    let replicas = partitions.iter().map(|partition| partition.replicas().len()).min().unwrap_or_default();
    let what = format!("{}: {} partitions, replication factor {replicas}", topic.name(), partitions.len());
    match (leaderless.is_empty(), behind.is_empty(), replicas > 1) {
        (false, _, _) => {
            findings.failed("topic", format!("{what}; without a leader: {leaderless:?}: start the brokers"));
        }
        (_, false, _) => findings.warning("topic", format!("{what}; replicas not in sync: {behind:?}")),
        (_, _, false) => findings.warning("topic", format!("{what}: orders are lost with a broker")),
        _ => findings.ok("topic", what),
    }
}
