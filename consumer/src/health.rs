//! The issues that may keep the consumer from its work.

use shared::health::{Health, HealthIssue};

/// The consumer's health, for `/readyz`.
pub type ConsumerHealth = Health<ConsumerIssue>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConsumerIssue {
    /// No broker answers.
    Brokers,
    /// The group does not accept this instance yet.
    Group,
    /// PostgreSQL is lost.
    Database,
    /// The dead-letter topic does not acknowledge.
    DeadLetterTopic,
    /// Too many dead letters of one kind.
    DeadLetterLimit,
}

impl HealthIssue for ConsumerIssue {
    fn resolution(self) -> &'static str {
        match self {
            Self::Brokers => "Kafka: brokers answer again",
            Self::Group => "Kafka: the group has accepted this instance",
            Self::Database => "PostgreSQL: working again",
            Self::DeadLetterTopic => "dead-letter topic: acknowledges again",
            Self::DeadLetterLimit => "dead-letter limit: dead-lettering goes on",
        }
    }
}
