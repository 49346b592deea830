//! The versions of the programs and of the servers.

use std::time::Duration;

use anyhow::Context;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde::Serialize;
use shared::{cache::CacheSettings, database::connect, kafka::KafkaSettings};

use crate::{databases::Database, server::Server, settings::DebugSettings};

/// Timeout of a request to Redis or to Kafka.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout of the queries.
const QUERY_TIMEOUT: Duration = Duration::from_secs(8);

#[derive(Debug, Serialize)]
pub struct Versions {
    orderflow: &'static str,
    librdkafka: String,
    /// Version and address, or why it can't be reached.
    postgresql: String,
    redis: String,
    /// Brokers have no request for their version.
    kafka: String,
}

/// Asks all services at the same time. `printable` gets each answer, which may be an error.
pub async fn versions(settings: DebugSettings, database: Database, printable: impl Fn(String) -> String) -> Versions {
    let (postgresql, redis, kafka) =
        tokio::join!(postgresql(database), redis(&settings.cache), kafka(settings.kafka.clone()));
    let told = |answer: anyhow::Result<String>| printable(answer.unwrap_or_else(|error| format!("{error:#}")));
    Versions {
        orderflow: env!("CARGO_PKG_VERSION"),
        librdkafka: rdkafka::util::get_rdkafka_version().1,
        postgresql: told(postgresql),
        redis: told(redis),
        kafka: told(kafka),
    }
}

impl Versions {
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        vec![
            ("orderflow", self.orderflow.to_owned()),
            ("librdkafka", self.librdkafka.clone()),
            ("PostgreSQL", self.postgresql.clone()),
            ("Redis", self.redis.clone()),
            ("Kafka", self.kafka.clone()),
        ]
    }
}

async fn postgresql(database: Database) -> anyhow::Result<String> {
    let settings = database.settings?;
    let client = connect(&settings).await?;
    let server = tokio::time::timeout(QUERY_TIMEOUT, Server::read(&client)).await.context("no answer in time")??;
    Ok(format!("{}, {settings}, {}", server.version, server.role))
}

async fn redis(cache: &CacheSettings) -> anyhow::Result<String> {
    let mut connection = cache.connect(TIMEOUT).await?;
    let mut command = redis::cmd("INFO");
    let info = command.arg("server").query_async::<redis::InfoDict>(&mut connection);
    let info = tokio::time::timeout(TIMEOUT, info).await.context("no answer in time")??;
    let version = info.get::<String>("redis_version").unwrap_or_else(|| "of unknown version".to_owned());
    Ok(format!("{version}, at {}", cache.address()))
}

async fn kafka(kafka: KafkaSettings) -> anyhow::Result<String> {
    let ask = move || {
        kafka.ensure_reachable()?;
        let client: BaseConsumer = kafka.client(&[]).create()?;
        let metadata = client.fetch_metadata(None, TIMEOUT).context("the metadata can't be read")?;
        let brokers = metadata.brokers().iter().map(|broker| format!("{}:{}", broker.host(), broker.port()));
        Ok(format!("brokers {}", brokers.collect::<Vec<_>>().join(", ")))
    };
    tokio::task::spawn_blocking(ask).await?
}
