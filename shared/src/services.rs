//! The services that the pipeline runs on: what a program needs to know to reach all of them.

use clap::Args;

use crate::{
    cache::CacheSettings,
    database::DatabaseArgs,
    kafka::{KafkaSettings, TopicSettings},
};

/// How to reach Kafka, Redis and PostgreSQL.
#[derive(Clone, Debug, Args)]
pub struct ServiceSettings {
    /// The cluster.
    #[command(flatten)]
    pub kafka: KafkaSettings,
    /// The topic of the orders.
    #[command(flatten)]
    pub topic: TopicSettings,
    /// The cache.
    #[command(flatten)]
    pub cache: CacheSettings,
    /// The database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

impl ServiceSettings {
    /// The same settings as environment variables, for a program that is started with them; with the secrets. What has no
    /// variable is not among them: `--kafka-config`, and how a missing topic is created.
    pub fn environment(&self) -> Vec<(String, String)> {
        let mut environment = self.database.environment();
        environment.extend(self.kafka.environment());
        environment.extend(self.topic.environment());
        environment.extend(self.cache.environment());
        environment
    }
}
