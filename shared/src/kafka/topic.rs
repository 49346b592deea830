use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::RDKafkaErrorCode,
    metadata::{MetadataPartition, MetadataTopic},
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
        dead_letter_topic(&self.topic)
    }

    /// The orders topic for [`ensure_topic`].
    pub fn orders(&self) -> TopicSpec {
        TopicSpec {
            name: self.topic.clone(),
            partitions: self.partitions,
            replication: self.replication,
            strict: self.strict,
            without_some_leaders: false,
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

/// Name of the dead-letter topic of `topic`.
pub fn dead_letter_topic(topic: &str) -> String {
    format!("{topic}.dlq")
}

/// The configuration with which a missing topic is created.
#[derive(Clone, Debug)]
pub struct TopicSpec {
    name: String,
    partitions: i32,
    replication: i32,
    strict: bool,
    without_some_leaders: bool,
    config: Vec<(&'static str, String)>,
}

impl TopicSpec {
    /// Accepts an existing topic as soon as one of its partitions has a leader. Partitions without one are logged.
    #[must_use]
    pub fn without_some_leaders(self) -> Self {
        Self { without_some_leaders: true, ..self }
    }
}

/// Checks the replication of the topic, or creates the topic when it is missing. Only the latter needs the permission to
/// create topics. Returns the number of its partitions once each of them has a leader.
///
/// # Errors
/// When no broker answers within 10 s, when the topic is missing and can't be created, when a partition has no leader
/// after 10 s (see [`TopicSpec::without_some_leaders`]), or when the topic may lose orders and `--strict` is set.
pub async fn ensure_topic(kafka: &KafkaSettings, spec: &TopicSpec) -> anyhow::Result<usize> {
    let (cluster, name) = (kafka.clone(), spec.name.clone());
    let partitions = tokio::task::spawn_blocking(move || {
        cluster.ensure_reachable()?;
        // A consumer: the metadata request of a producer may create the topic, with the defaults of the brokers.
        let client: BaseConsumer = cluster.client(&[]).create().context("the Kafka settings are not usable")?;
        partition_count(&client, &name)
    });
    let exists = partitions.await?? > 0;
    let admin: AdminClient<DefaultClientContext> =
        kafka.client(&[]).create().context("the Kafka settings are not usable")?;
    let options =
        AdminOptions::new().operation_timeout(Some(FIRST_ANSWER_TIMEOUT)).request_timeout(Some(FIRST_ANSWER_TIMEOUT));
    if exists || create(&admin, spec, &options).await? == Creation::ExistedBefore {
        check_replication(&admin, spec, &options).await?;
    }
    wait_for_leaders(kafka.clone(), spec.clone(), exists).await
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Creation {
    Created,
    /// Another program has created the topic meanwhile.
    ExistedBefore,
}

async fn create(
    admin: &AdminClient<DefaultClientContext>,
    spec: &TopicSpec,
    options: &AdminOptions,
) -> anyhow::Result<Creation> {
    let min_in_sync = if spec.replication > 1 { "2" } else { "1" };
    let mut topic = NewTopic::new(&spec.name, spec.partitions, TopicReplication::Fixed(spec.replication))
        .set("min.insync.replicas", min_in_sync)
        .set("compression.type", "producer");
    for (key, value) in &spec.config {
        topic = topic.set(key, value);
    }
    let created = admin
        .create_topics([&topic], options)
        .await
        .with_context(|| format!("topic {} can't be created: the cluster did not answer the request", spec.name))?;
    match created.into_iter().next() {
        Some(Ok(_)) => {
            let TopicSpec { name, partitions, replication, .. } = spec;
            tracing::info!(topic = name, partitions, replication, "topic created");
            Ok(Creation::Created)
        }
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(Creation::ExistedBefore),
        Some(Err((_, RDKafkaErrorCode::InvalidReplicationFactor))) => {
            let metadata = admin.inner().fetch_metadata(None, FIRST_ANSWER_TIMEOUT);
            bail!(refused_replication(spec, metadata.ok().map(|metadata| metadata.brokers().len())))
        }
        Some(Err((
            name,
            RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed,
        ))) => {
            bail!(
                "topic {name} does not exist, and this user may not create it: create it first, or allow the user to \
                 create it"
            )
        }
        Some(Err((name, code))) => {
            bail!("topic {name} can't be created with replication factor {}: {code}", spec.replication)
        }
        None => bail!("topic {} can't be created: the answer of the cluster is empty", spec.name),
    }
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
    let partitions = metadata.topics().first().map(MetadataTopic::partitions).unwrap_or_default();
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
async fn wait_for_leaders(kafka: KafkaSettings, spec: TopicSpec, existed: bool) -> anyhow::Result<usize> {
    let topic = spec.name;
    tokio::task::spawn_blocking(move || {
        let client: BaseConsumer = kafka.client(&[]).create()?;
        let deadline = std::time::Instant::now() + FIRST_ANSWER_TIMEOUT;
        loop {
            let metadata = client
                .fetch_metadata(Some(&topic), FIRST_ANSWER_TIMEOUT)
                .with_context(|| format!("the metadata of topic {topic} can't be read"))?;
            let partitions = metadata.topics().first().map(MetadataTopic::partitions).unwrap_or_default();
            let leaderless: Vec<i32> = partitions
                .iter()
                .filter(|p| p.leader() < 0 || p.error().is_some())
                .map(MetadataPartition::id)
                .collect();
            if !partitions.is_empty() && leaderless.is_empty() {
                return Ok(partitions.len());
            }
            if existed && spec.without_some_leaders && leaderless.len() < partitions.len() {
                tracing::warn!(
                    "topic {topic}: partitions {leaderless:?} have no leader; they are used once they have one: check \
                     that enough brokers run"
                );
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
    use clap::Parser;
    use rdkafka::mocking::MockCluster;

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

    #[derive(Parser)]
    struct Cluster {
        #[command(flatten)]
        kafka: KafkaSettings,
        #[command(flatten)]
        topic: TopicSettings,
    }

    /// The brokers of librdkafka's mock cluster can't create topics by request, as those that don't permit it.
    #[tokio::test]
    async fn an_existing_topic_needs_no_permission_to_create_and_is_used_when_some_partitions_have_a_leader() {
        let cluster = MockCluster::new(1).unwrap();
        let servers = cluster.bootstrap_servers();
        let Cluster { kafka, topic } = Cluster::parse_from(["test", "--brokers", &servers, "--topic", "existing"]);
        cluster.create_topic("existing", 4, 1).unwrap();
        cluster.partition_leader("existing", 2, None).unwrap();
        assert_eq!(ensure_topic(&kafka, &topic.orders().without_some_leaders()).await.unwrap(), 4);
    }
}
