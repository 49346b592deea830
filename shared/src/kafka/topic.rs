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

/// 1 MiB and the 64 KiB that a dead letter's headers may take above the order itself.
const DEAD_LETTER_BYTES: usize = 1_048_588 + 65_536;
const DEAD_LETTER_RETENTION: Duration = Duration::from_secs(90 * 24 * 3600);

/// Which topic the orders go through.
#[derive(Clone, Debug, Args)]
pub struct TopicSettings {
    /// Topic of the orders; dead letters go to this name with `.dlq` behind it. Created when missing.
    #[arg(long, env = "ORDERS_TOPIC", default_value = "orders", help_heading = "Kafka")]
    pub topic: String,
    /// Partitions of a topic that is created.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(i32).range(1..), help_heading = "Kafka")]
    pub partitions: i32,
    /// Replicas of each partition of a topic that is created.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(i32).range(1..), help_heading = "Kafka")]
    pub replication: i32,
    /// Refuse an existing topic that weakens a guarantee (replication or min.insync.replicas below 2), instead of
    /// warning about it.
    #[arg(long, help_heading = "Kafka")]
    pub strict: bool,
}

impl TopicSettings {
    /// The same settings as environment variables, for a program that is started with them.
    pub fn environment(&self) -> Vec<(String, String)> {
        vec![("ORDERS_TOPIC".to_owned(), self.topic.clone())]
    }

    /// The topic of the dead letters.
    pub fn dead_letter_topic(&self) -> String {
        format!("{}.dlq", self.topic)
    }

    /// How the topic of the orders must be.
    pub fn orders(&self) -> TopicSpec {
        TopicSpec {
            name: self.topic.clone(),
            partitions: self.partitions,
            replication: self.replication,
            strict: self.strict,
            config: Vec::new(),
        }
    }

    /// How the topic of the dead letters must be.
    pub fn dead_letters(&self) -> TopicSpec {
        let config = vec![
            ("max.message.bytes", DEAD_LETTER_BYTES.to_string()),
            ("retention.ms", DEAD_LETTER_RETENTION.as_millis().to_string()),
        ];
        TopicSpec { name: self.dead_letter_topic(), config, ..self.orders() }
    }
}

/// A topic as it is created when missing.
#[derive(Clone, Debug)]
pub struct TopicSpec {
    name: String,
    partitions: i32,
    replication: i32,
    strict: bool,
    config: Vec<(&'static str, String)>,
}

/// Creates the topic when it is missing, and looks at how it is when it exists. Gives its number of partitions.
///
/// # Errors
/// When no broker answers within 10 s, the topic can't be created, or is too weak for `--strict`.
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
    let created = admin.create_topics([&topic], &options).await.context("the cluster does not create topics")?;
    match created.into_iter().next() {
        Some(Ok(_)) => tracing::info!(
            topic = spec.name,
            partitions = spec.partitions,
            replication = spec.replication,
            "topic created"
        ),
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => inspect(&admin, spec, &options).await?,
        Some(Err((name, code))) => bail!("topic {name} can't be created with {} replicas: {code}", spec.replication),
        None => bail!("the cluster gave no answer about topic {}", spec.name),
    }
    wait_for_leaders(kafka.clone(), spec.name.clone()).await
}

async fn inspect(
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
        .context("the topic's metadata can't be read")?;
    let partitions = metadata.topics().first().map(rdkafka::metadata::MetadataTopic::partitions).unwrap_or_default();
    let replicas = partitions.iter().map(|partition| partition.replicas().len()).min();
    let mut weak = Vec::new();
    if let Some(replicas) = replicas.filter(|replicas| *replicas < 2) {
        weak.push(format!("replication is {replicas}: a lost broker loses orders"));
    }
    if let Some(min) = min_in_sync.filter(|min| *min < 2) {
        weak.push(format!("min.insync.replicas is {min}: an acknowledged order may stand on one broker alone"));
    }
    if weak.is_empty() {
        return Ok(());
    }
    let weak = weak.join("; ");
    ensure!(!spec.strict, "topic {} is too weak: {weak}", spec.name);
    tracing::warn!(topic = spec.name, "{weak}");
    Ok(())
}

/// A topic is of use only once each of its partitions has a leader; a new one gets them a moment after its creation.
async fn wait_for_leaders(kafka: KafkaSettings, topic: String) -> anyhow::Result<usize> {
    tokio::task::spawn_blocking(move || {
        let client: BaseConsumer = kafka.client(&[]).create()?;
        let deadline = std::time::Instant::now() + FIRST_ANSWER_TIMEOUT;
        loop {
            let metadata = client
                .fetch_metadata(Some(&topic), FIRST_ANSWER_TIMEOUT)
                .context("the topic's metadata can't be read")?;
            let partitions =
                metadata.topics().first().map(rdkafka::metadata::MetadataTopic::partitions).unwrap_or_default();
            if !partitions.is_empty() && partitions.iter().all(|p| p.leader() >= 0 && p.error().is_none()) {
                return Ok(partitions.len());
            }
            ensure!(
                std::time::Instant::now() < deadline,
                "topic {topic} has partitions without a leader: are enough brokers up?"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    })
    .await?
}

/// Number of partitions of a topic; 0 when there is no such topic.
///
/// # Errors
/// When no broker answers, or none may say.
pub fn partition_count(client: &BaseConsumer, topic: &str) -> anyhow::Result<i32> {
    let metadata =
        client.fetch_metadata(Some(topic), FIRST_ANSWER_TIMEOUT).context("the topic's metadata can't be read")?;
    let topic = metadata.topics().first().with_context(|| format!("the cluster says nothing of topic {topic}"))?;
    match topic.error() {
        None => Ok(topic.partitions().len() as i32),
        Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) => Ok(0),
        Some(error) => bail!("topic {} can't be read: {:?}", topic.name(), RDKafkaErrorCode::from(error)),
    }
}
