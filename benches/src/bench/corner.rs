//! What the bench has for itself: a database with users and products, a topic with orders, a cache. All of it goes at the
//! end; nothing of the user's own is touched.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    metadata::MetadataPartition,
};
use secrecy::ExposeSecret;
use shared::{
    cache::CacheSettings,
    database::{DatabaseSettings, connect},
    kafka::{KafkaSettings, TopicSettings, ensure_topic},
    order_id::RunTag,
};

use crate::{programs::command, settings::Services};

/// Longest wait for one answer of the brokers.
const CALL: Duration = Duration::from_secs(10);

/// The bench's own corner of the services.
pub struct Corner {
    /// Names all of it.
    pub name: String,
    /// The cluster.
    pub kafka: KafkaSettings,
    /// Where the orders are.
    pub orders: Source,
    /// The database, with users and products.
    pub database: DatabaseSettings,
    /// By which our programs find it.
    pub environment: Vec<(String, String)>,
    /// Logs and other files.
    pub folder: tempfile::TempDir,
    /// The cache, under keys of its own.
    pub cache: CacheSettings,
    /// How its topics are made.
    pub topic: TopicSettings,
    server: DatabaseSettings,
    topics: Vec<String>,
}

/// A topic that has every order once.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name.
    pub topic: String,
    /// The last order's id of each partition that has any: whoever takes a partition in order has all of it once it has
    /// this one.
    pub last: Vec<String>,
}

impl Corner {
    /// Makes an empty database, and names for the rest.
    ///
    /// # Errors
    /// When the database isn't there or doesn't do it.
    pub async fn make(services: &Services) -> anyhow::Result<Self> {
        let name = format!("bench_{}", RunTag::random());
        let server = services.database.settings()?;
        let client = connect(&server).await?;
        client.batch_execute(&format!("CREATE DATABASE \"{name}\"")).await.context("no database can be made")?;
        let arguments = services.database.with_database(&name)?;
        let mut topic = services.topic.clone();
        name.clone_into(&mut topic.topic);
        let mut cache = services.cache.clone();
        cache.redis_prefix = format!("{name}:");
        let mut environment = arguments.environment();
        environment.extend(services.kafka.environment());
        for (variable, value) in [
            ("ORDERS_TOPIC", name.clone()),
            ("REDIS_URL", services.cache.redis_url.expose_secret().to_owned()),
            ("REDIS_PREFIX", cache.redis_prefix.clone()),
        ] {
            environment.push((variable.to_owned(), value));
        }
        Ok(Self {
            orders: Source { topic: name.clone(), last: Vec::new() },
            kafka: services.kafka.clone(),
            database: arguments.settings()?,
            environment,
            folder: tempfile::TempDir::with_prefix("orderflow-bench-")?,
            cache,
            server,
            topics: vec![topic.topic.clone(), topic.dead_letter_topic()],
            topic,
            name,
        })
    }

    /// Fills it: tables, cache, and so many orders on the topic.
    ///
    /// # Errors
    /// When a service or a program doesn't do it.
    pub async fn fill(&mut self, orders: u64) -> anyhow::Result<()> {
        self.run("orderdb", &["migrate", "up"]).await?;
        self.run("orderdb", &["seed"]).await?;
        ensure_topic(&self.kafka, &self.topic.orders()).await?;
        self.run("cache-worker", &["--once"]).await?;
        self.run("producer", &["--rate", "max", "--count", &orders.to_string()]).await?;
        self.orders.last = last_ids(&self.kafka, &self.topic.topic).await?;
        Ok(())
    }

    /// Runs one of our programs to its end.
    ///
    /// # Errors
    /// When it fails; with what it said.
    pub async fn run(&self, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
        let mut command = tokio::process::Command::from(command(program)?);
        command.args(arguments).envs(self.environment.iter().cloned()).env("RUNS_DIR", self.folder.path());
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await?;
        if !output.status.success() {
            bail!("{program} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// Makes another topic like that of the orders.
    ///
    /// # Errors
    /// When it can't be made.
    pub async fn another_topic(&mut self, name: &str) -> anyhow::Result<(String, usize)> {
        let mut topic = self.topic.clone();
        topic.topic = format!("{}.{name}", self.topic.topic);
        self.topics.push(topic.topic.clone());
        let partitions = ensure_topic(&self.kafka, &topic.orders()).await?;
        Ok((topic.topic, partitions))
    }

    /// Where logs go.
    pub fn logs(&self) -> PathBuf {
        Path::new(self.folder.path()).join("logs")
    }

    /// Deletes all of it.
    ///
    /// # Errors
    /// When something could not be deleted.
    pub async fn clean(self) -> anyhow::Result<()> {
        let client = connect(&self.server).await?;
        let drop = format!("DROP DATABASE \"{}\" WITH (FORCE)", self.name);
        client.batch_execute(&drop).await.context("the bench's database can't be dropped")?;
        let admin: AdminClient<DefaultClientContext> = self.kafka.client(&[]).create()?;
        let topics: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        admin.delete_topics(&topics, &AdminOptions::new()).await.context("the bench's topics can't be deleted")?;
        let groups = self.groups().await?;
        let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
        if !groups.is_empty() {
            admin.delete_groups(&groups, &AdminOptions::new()).await.context("the bench's groups can't be deleted")?;
        }
        let (mut redis, keys) = (self.cache.connect(CALL).await?, self.cache.keys());
        let keys = [keys.users, keys.products, keys.refreshed_at, keys.epoch];
        let () =
            redis::AsyncCommands::del(&mut redis, &keys[..]).await.context("the bench's cache can't be deleted")?;
        Ok(())
    }

    /// The groups that drained its topics; Connect puts a word before a connector's name.
    async fn groups(&self) -> anyhow::Result<Vec<String>> {
        let (kafka, name) = (self.kafka.clone(), self.name.clone());
        tokio::task::spawn_blocking(move || {
            let client: BaseConsumer = kafka.client(&[]).create()?;
            let all = client.fetch_group_list(None, CALL).context("the groups can't be listed")?;
            let ours = all.groups().iter().map(|group| group.name().to_owned());
            Ok(ours.filter(|group| group.trim_start_matches("connect-").starts_with(&name)).collect())
        })
        .await?
    }
}

/// The last record's key of each partition that has any.
///
/// # Errors
/// When the brokers don't answer.
pub async fn last_ids(kafka: &KafkaSettings, topic: &str) -> anyhow::Result<Vec<String>> {
    let (kafka, topic) = (kafka.clone(), topic.to_owned());
    tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer =
            kafka.client(&[("group.id", "unused"), ("enable.auto.commit", "false")]).create()?;
        let metadata = consumer.fetch_metadata(Some(&topic), CALL).context("the brokers don't answer")?;
        let partitions =
            metadata.topics().iter().flat_map(|topic| topic.partitions().iter().map(MetadataPartition::id));
        let mut ends = TopicPartitionList::new();
        for partition in partitions {
            let (first, end) = consumer.fetch_watermarks(&topic, partition, CALL)?;
            if end > first {
                ends.add_partition_offset(&topic, partition, Offset::Offset(end - 1))?;
            }
        }
        consumer.assign(&ends)?;
        let mut last = Vec::new();
        while last.len() < ends.count() {
            let record = consumer.poll(CALL).context("the brokers don't give the topic's last records")??;
            let key = record.key().context("an order has a key")?;
            last.push(String::from_utf8_lossy(key).into_owned());
        }
        ensure!(!last.is_empty(), "the topic has no orders");
        Ok(last)
    })
    .await?
}
