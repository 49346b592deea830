//! The resources of a bench: a database with users and products, topics with orders, keys in Redis and a folder. All of
//! them have a unique name and are deleted at the end.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, bail, ensure};
use rdkafka::{
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
};
use shared::{
    database::{DatabaseSettings, connect, shares_sessions},
    kafka::ensure_topic,
    order_id::RunTag,
    services::ServiceSettings,
};

use super::{filled_topic::FilledTopic, timeouts::REQUEST_TIMEOUT};
use crate::{interruptible::run_to_end, process::command};

/// The services, with the bench's own resources.
pub struct BenchEnvironment {
    /// Name of the database and of the orders topic, prefix of everything else.
    pub name: String,
    /// The services, with the bench's topic, database and key prefix.
    pub services: ServiceSettings,
    /// The bench's database.
    pub database: DatabaseSettings,
    /// `services` as environment variables, for the programs that are started.
    pub variables: Vec<(String, String)>,
    /// Deleted at the end.
    pub folder: tempfile::TempDir,
    /// The database that was given, from which the bench's own one is created and dropped.
    server: DatabaseSettings,
    topics: Vec<String>,
}

impl BenchEnvironment {
    /// Creates an empty database. Topics and keys come later.
    ///
    /// # Errors
    /// When the server can't be reached, or does not allow to create a database.
    pub async fn create(services: &ServiceSettings) -> anyhow::Result<Self> {
        let name = format!("bench_{}", RunTag::random());
        let server = services.database.settings()?;
        let client = connect(&server).await?;
        let has_pooler = server.has_pooler() || shares_sessions(&client, &server).await?;
        ensure!(!has_pooler, "a bench measures the database itself: set the server instead of a pooler");
        let create = format!("CREATE DATABASE \"{name}\"");
        client
            .batch_execute(&create)
            .await
            .with_context(|| format!("the database {name} can't be created: the user needs CREATEDB"))?;
        let mut services = services.clone();
        services.database = services.database.with_database(&name)?;
        services.topic.topic.clone_from(&name);
        services.cache.redis_prefix = format!("{name}:");
        Ok(Self {
            database: services.database.settings()?,
            variables: services.environment(),
            folder: tempfile::TempDir::with_prefix("orderflow-bench-")?,
            server,
            topics: vec![services.topic.topic.clone(), services.topic.dead_letter_topic()],
            services,
            name,
        })
    }

    /// Creates and seeds the tables, fills the cache, and sends orders to the topic by a producer with these
    /// `arguments`.
    ///
    /// # Errors
    /// When a service or a program fails.
    pub async fn fill(&self, arguments: &[&str]) -> anyhow::Result<FilledTopic> {
        let (kafka, topic) = (&self.services.kafka, &self.services.topic);
        self.run("orderdb", &["migrate", "up"]).await?;
        self.run("orderdb", &["seed"]).await?;
        ensure_topic(kafka, &topic.orders()).await?;
        self.run("cache-worker", &["--once"]).await?;
        // Whether it kept its schedule is of no interest.
        self.run_with("producer", arguments, &[0, 3]).await?;
        FilledTopic::read(kafka, &topic.topic).await
    }

    /// Runs a program of orderflow until it ends.
    ///
    /// # Errors
    /// When the program fails; the error has its log.
    pub async fn run(&self, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
        self.run_with(program, arguments, &[0]).await
    }

    async fn run_with(&self, program: &str, arguments: &[&str], accepted: &[i32]) -> anyhow::Result<()> {
        let mut command = command(program)?;
        command.args(arguments).envs(self.variables.iter().cloned()).env("RUNS_DIR", self.folder.path());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = run_to_end(program, command).await?;
        if !output.status.code().is_some_and(|code| accepted.contains(&code)) {
            bail!("{program} failed, {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// Creates another topic with the same settings as the orders topic. Returns its full name and the number of
    /// partitions.
    ///
    /// # Errors
    /// When the topic can't be created.
    pub async fn create_topic(&mut self, name: &str) -> anyhow::Result<(String, usize)> {
        let mut topic = self.services.topic.clone();
        topic.topic = format!("{}.{name}", topic.topic);
        self.topics.push(topic.topic.clone());
        let partitions = ensure_topic(&self.services.kafka, &topic.orders()).await?;
        Ok((topic.topic, partitions))
    }

    /// The services with another topic, created with the same settings.
    ///
    /// # Errors
    /// When the topic can't be created.
    pub async fn services_of_new_topic(&mut self) -> anyhow::Result<ServiceSettings> {
        let (topic, _) = self.create_topic(&RunTag::random().to_string()).await?;
        let mut services = self.services.clone();
        services.topic.topic = topic;
        // A consumer creates it.
        self.topics.push(services.topic.dead_letter_topic());
        Ok(services)
    }

    /// Folder of the programs' logs.
    pub fn logs(&self) -> PathBuf {
        Path::new(self.folder.path()).join("logs")
    }

    /// Deletes everything that the bench created, also when some of it can't be deleted.
    ///
    /// # Errors
    /// The first of those that occurred.
    pub async fn delete(self) -> anyhow::Result<()> {
        let deleted = [self.drop_database().await, self.delete_topics().await, self.delete_keys().await];
        deleted.into_iter().collect()
    }

    async fn drop_database(&self) -> anyhow::Result<()> {
        let client = connect(&self.server).await?;
        let drop = format!("DROP DATABASE \"{}\" WITH (FORCE)", self.name);
        client.batch_execute(&drop).await.with_context(|| format!("the database {} can't be dropped", self.name))
    }

    async fn delete_topics(&self) -> anyhow::Result<()> {
        let admin: AdminClient<DefaultClientContext> = self.services.kafka.client(&[]).create()?;
        let topics: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        let deleted = admin.delete_topics(&topics, &AdminOptions::new()).await;
        deleted.with_context(|| format!("the topics {} can't be deleted", topics.join(", ")))?;
        let groups = self.groups().await?;
        let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
        if !groups.is_empty() {
            let deleted = admin.delete_groups(&groups, &AdminOptions::new()).await;
            deleted.with_context(|| format!("the groups {} can't be deleted", groups.join(", ")))?;
        }
        Ok(())
    }

    async fn delete_keys(&self) -> anyhow::Result<()> {
        let cache = &self.services.cache;
        let (mut redis, keys) = (cache.connect(REQUEST_TIMEOUT).await?, cache.keys());
        let keys =
            [keys.users, keys.products, keys.refreshed_at, keys.epoch, keys.staging_users, keys.staging_products];
        let deleted = redis::AsyncCommands::del(&mut redis, &keys[..]).await;
        deleted.with_context(|| format!("the keys {}* in Redis can't be deleted", cache.redis_prefix))
    }

    /// The consumer groups of the bench. The group of a Connect sink is the connector's name with the prefix
    /// `connect-`.
    async fn groups(&self) -> anyhow::Result<Vec<String>> {
        let (kafka, name) = (self.services.kafka.clone(), self.name.clone());
        tokio::task::spawn_blocking(move || {
            let client: BaseConsumer = kafka.client(&[]).create()?;
            let all = client.fetch_group_list(None, REQUEST_TIMEOUT).context("the groups can't be listed")?;
            let names = all.groups().iter().map(|group| group.name().to_owned());
            Ok(names.filter(|group| group.trim_start_matches("connect-").starts_with(&name)).collect())
        })
        .await?
    }
}
