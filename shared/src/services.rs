//! The settings of all services of the pipeline: Kafka, Redis and PostgreSQL.

use clap::Args;

use crate::{
    cache::CacheSettings,
    database::DatabaseArgs,
    kafka::{KafkaSettings, TopicSettings},
};

/// The settings of Kafka, Redis and PostgreSQL, for a program that connects to all of them or starts others that do.
#[derive(Clone, Debug, Args)]
pub struct ServiceSettings {
    /// The Kafka cluster.
    #[command(flatten)]
    pub kafka: KafkaSettings,
    /// The orders topic and its dead-letter topic.
    #[command(flatten)]
    pub topic: TopicSettings,
    /// The cache in Redis.
    #[command(flatten)]
    pub cache: CacheSettings,
    /// The PostgreSQL database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

impl ServiceSettings {
    /// These settings as environment variables for a child process. They include the passwords. Settings without a
    /// variable are not included: `--kafka-config`, `--partitions`, `--replication` and `--strict`.
    pub fn environment(&self) -> Vec<(String, String)> {
        let mut environment = self.database.environment();
        environment.extend(self.kafka.environment());
        environment.extend(self.topic.environment());
        environment.extend(self.cache.environment());
        environment
    }
}
