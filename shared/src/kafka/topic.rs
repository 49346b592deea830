use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::RDKafkaErrorCode,
    types::RDKafkaRespErr,
};

use super::settings::{FIRST_ANSWER_TIMEOUT, KafkaSettings};

/// `max.message.bytes` of the dead-letter topic: Kafka's default, plus 64 KiB for the headers of a dead letter.
const DEAD_LETTER_BYTES: usize = 1_048_588 + 65_536;
/// `retention.ms` of the dead-letter topic: 90 days.
const DEAD_LETTER_RETENTION: Duration = Duration::from_secs(90 * 24 * 3600);

/// The orders topic, and how it is created when it is missing.
#[derive(Clone, Debug, Args)]
pub struct TopicSettings {
    /// Topic of the orders. The dead-letter topic has the same name with the suffix .dlq. Missing topics are created.
    #[arg(long, env = "ORDERS_TOPIC", default_value = "orders", help_heading = "Kafka")]
    pub topic: String,
    /// Number of partitions of a created topic.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(i32).range(1..), help_heading = "Kafka")]
    pub partitions: i32,
    /// Replication factor of a created topic.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(i32).range(1..), help_heading = "Kafka")]
    pub replication: i32,
    /// Refuse an existing topic that may lose orders (replication factor or min.insync.replicas below 2) instead of
    /// logging a warning.
    #[arg(long, help_heading = "Kafka")]
    pub strict: bool,
}

impl TopicSettings {
    /// These settings as environment variables for a child process: the name of the topic alone. The others have no
    /// variable.
    pub fn environment(&self) -> Vec<(String, String)> {
        vec![("ORDERS_TOPIC".to_owned(), self.topic.clone())]
    }

    /// Name of the dead-letter topic: the name of the orders topic with the suffix `.dlq`.
    pub fn dead_letter_topic(&self) -> String {
        format!("{}.dlq", self.topic)
    }

    /// The orders topic for [`ensure_topic`].
    pub fn orders(&self) -> TopicSpec {
        TopicSpec {
            name: self.topic.clone(),
            partitions: self.partitions,
            replication: self.replication,
            strict: self.strict,
            config: Vec::new(),
        }
    }

    /// The dead-letter topic for [`ensure_topic`]: retention of 90 days, and records of up to 64 KiB more than Kafka's
    /// default of 1 MiB.
    pub fn dead_letters(&self) -> TopicSpec {
        let config = vec![
            ("max.message.bytes", DEAD_LETTER_BYTES.to_string()),
            ("retention.ms", DEAD_LETTER_RETENTION.as_millis().to_string()),
        ];
        TopicSpec { name: self.dead_letter_topic(), config, ..self.orders() }
    }
}

/// The configuration with which a missing topic is created.
#[derive(Clone, Debug)]
pub struct TopicSpec {
    name: String,
    partitions: i32,
    replication: i32,
    strict: bool,
    config: Vec<(&'static str, String)>,
}

/// Creates the topic when it is missing, else checks its replication. Returns the number of its partitions once each of
/// them has a leader.
///
/// # Errors
/// When no broker answers within 10 s, when the topic can't be created, when a partition has no leader after 10 s, or
/// when the topic may lose orders and `--strict` is set.
pub async fn ensure_topic(kafka: &KafkaSettings, spec: &TopicSpec) -> anyhow::Result<usize> {
    let cluster = kafka.clone();
    tokio::task::spawn_blocking(move || cluster.ensure_reachable()).await??;
    let admin: AdminClient<DefaultClientContext> =
        kafka.client(&[]).create().context("the Kafka settings are not usable")?;
    let options =
        AdminOptions::new().operation_timeout(Some(FIRST_ANSWER_TIMEOUT)).request_timeout(Some(FIRST_ANSWER_TIMEOUT));
    let min_in_sync = if spec.replication > 1 { "2" } else { "1" };
    let mut topic = NewTopic::new(&spec.name, spec.partitions, TopicReplication::Fixed(spec.replication))
        .set("min.insync.replicas", min_in_sync)
        .set("compression.type", "producer");
    for (key, value) in &spec.config {
        topic = topic.set(key, value);
    }
    let created = admin
        .create_topics([&topic], &options)
        .await
        .with_context(|| format!("topic {} can't be created: the cluster did not answer the request", spec.name))?;
    match created.into_iter().next() {
        Some(Ok(_)) => tracing::info!(
            topic = spec.name,
            partitions = spec.partitions,
            replication = spec.replication,
            "topic created"
        ),
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => check_replication(&admin, spec, &options).await?,
        Some(Err((_, RDKafkaErrorCode::InvalidReplicationFactor))) => {
            let metadata = admin.inner().fetch_metadata(None, FIRST_ANSWER_TIMEOUT);
            bail!(refused_replication(spec, metadata.ok().map(|metadata| metadata.brokers().len())))
        }
        Some(Err((name, code))) => {
            bail!("topic {name} can't be created with replication factor {}: {code}", spec.replication)
        }
        None => bail!("topic {} can't be created: the answer of the cluster is empty", spec.name),
    }
    wait_for_leaders(kafka.clone(), spec.name.clone()).await
}

/// The message for a replication factor that the cluster refuses. `brokers` is none when the metadata can't be read.
fn refused_replication(TopicSpec { name, replication, .. }: &TopicSpec, brokers: Option<usize>) -> String {
    let refused = format!("topic {name} can't be created with replication factor {replication}");
    match brokers {
        Some(1) => format!("{refused}: the cluster has 1 broker, use --replication 1"),
        Some(brokers) if brokers < replication.cast_unsigned() as usize => {
            format!("{refused}: the cluster has {brokers} brokers, use --replication {brokers} or less")
        }
        _ => format!("{refused}: the cluster refuses it, use a smaller --replication"),
    }
}

async fn check_replication(
    admin: &AdminClient<DefaultClientContext>,
    spec: &TopicSpec,
    options: &AdminOptions,
) -> anyhow::Result<()> {
    let described = admin.describe_configs([&ResourceSpecifier::Topic(&spec.name)], options).await;
    let min_in_sync = described.ok().and_then(|all| all.into_iter().next()).and_then(Result::ok).and_then(|resource| {
        let entry = resource.get("min.insync.replicas")?;
        entry.value.as_ref()?.parse::<u32>().ok()
    });
    let metadata = admin
        .inner()
        .fetch_metadata(Some(&spec.name), FIRST_ANSWER_TIMEOUT)
        .with_context(|| format!("the metadata of topic {} can't be read", spec.name))?;
    let partitions = metadata.topics().first().map(rdkafka::metadata::MetadataTopic::partitions).unwrap_or_default();
    let replicas = partitions.iter().map(|partition| partition.replicas().len()).min();
    let mut weaknesses = Vec::new();
    if let Some(replicas) = replicas.filter(|replicas| *replicas < 2) {
        weaknesses.push(format!("replication factor {replicas}: orders are lost with a broker"));
    }
    if let Some(min) = min_in_sync.filter(|min| *min < 2) {
        weaknesses.push(format!("min.insync.replicas={min}: an acknowledged order may be on one broker only"));
    }
    if weaknesses.is_empty() {
        return Ok(());
    }
    let weaknesses = weaknesses.join("; ");
    ensure!(!spec.strict, "topic {} may lose orders, which --strict refuses: {weaknesses}", spec.name);
    tracing::warn!("topic {} may lose orders: {weaknesses}", spec.name);
    Ok(())
}

/// Waits until each partition has a leader. A new topic gets its leaders shortly after the request that creates it
/// returns.
async fn wait_for_leaders(kafka: KafkaSettings, topic: String) -> anyhow::Result<usize> {
    tokio::task::spawn_blocking(move || {
        let client: BaseConsumer = kafka.client(&[]).create()?;
        let deadline = std::time::Instant::now() + FIRST_ANSWER_TIMEOUT;
        loop {
            let metadata = client
                .fetch_metadata(Some(&topic), FIRST_ANSWER_TIMEOUT)
                .with_context(|| format!("the metadata of topic {topic} can't be read"))?;
            let partitions =
                metadata.topics().first().map(rdkafka::metadata::MetadataTopic::partitions).unwrap_or_default();
            if !partitions.is_empty() && partitions.iter().all(|p| p.leader() >= 0 && p.error().is_none()) {
                return Ok(partitions.len());
            }
            ensure!(
                std::time::Instant::now() < deadline,
                "topic {topic} has partitions without a leader: check that enough brokers run"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    })
    .await?
}

/// Reads the number of partitions of a topic; 0 when the topic does not exist. Blocks for up to 10 s.
///
/// # Errors
/// When no broker answers, or the user is not authorized to describe the topic.
pub fn partition_count(client: &BaseConsumer, topic: &str) -> anyhow::Result<i32> {
    let metadata = client
        .fetch_metadata(Some(topic), FIRST_ANSWER_TIMEOUT)
        .with_context(|| format!("the metadata of topic {topic} can't be read"))?;
    let topic = metadata.topics().first().with_context(|| format!("the metadata has no topic {topic}"))?;
    match topic.error() {
        None => Ok(topic.partitions().len() as i32),
        Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) => Ok(0),
        Some(error) => bail!("topic {} can't be read: {:?}", topic.name(), RDKafkaErrorCode::from(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_replication_factor_is_reported_with_the_one_to_use() {
        let settings = TopicSettings { topic: "orders".to_owned(), partitions: 9, replication: 3, strict: false };
        let message = |brokers| refused_replication(&settings.orders(), brokers);
        let refused = "topic orders can't be created with replication factor 3: the cluster has";
        assert_eq!(message(Some(1)), format!("{refused} 1 broker, use --replication 1"));
        assert_eq!(message(Some(2)), format!("{refused} 2 brokers, use --replication 2 or less"));
        assert!(message(None).ends_with("use a smaller --replication"));
    }
}
