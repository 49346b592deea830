//! What programs depend on, and the states of it.

use std::fmt;

use serde::Serialize;

/// What a program depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dependency {
    /// The Kafka brokers.
    Brokers,
    /// The coordinator and the other members of the consumer group.
    ConsumerGroup,
    /// The topic of the records that can't be stored.
    DeadLetterTopic,
    /// The database.
    Postgres,
    /// The server of the cache.
    Redis,
    /// The users and products in Redis.
    Cache,
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Brokers => "brokers",
            Self::ConsumerGroup => "consumer-group",
            Self::DeadLetterTopic => "dead-letter-topic",
            Self::Postgres => "postgres",
            Self::Redis => "redis",
            Self::Cache => "cache",
        })
    }
}

/// The state of a dependency; a later one is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DependencyState {
    /// The program has not used it yet. It has no issue.
    Unknown,
    /// It works.
    Up,
    /// The program does its work without it.
    Degraded,
    /// The program can't do its work.
    Down,
}

impl fmt::Display for DependencyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Down => "down",
        })
    }
}
