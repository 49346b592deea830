//! The issues that make the consumer not ready.

use shared::health::{Health, HealthIssue};

/// The consumer's health, for `/readyz`.
pub type ConsumerHealth = Health<ConsumerIssue>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConsumerIssue {
    /// No broker answers.
    Brokers,
    /// The group does not accept this instance yet.
    Group,
    /// A partition is behind, gains nothing and has no owner in the group.
    PartitionOwners,
    /// PostgreSQL can't be reached, or fails.
    Database,
    /// A dead letter is not acknowledged.
    DeadLetterTopic,
    /// A kind of dead letters is over the limit.
    DeadLetterLimit,
}

impl HealthIssue for ConsumerIssue {
    fn resolution(self) -> &'static str {
        match self {
            Self::Brokers => "Kafka: working again",
            Self::Group => "consumer group: this instance is a member",
            Self::PartitionOwners => "consumer group: all partitions that are behind have an owner",
            Self::Database => "PostgreSQL: working again",
            Self::DeadLetterTopic => "dead-letter topic: working again",
            Self::DeadLetterLimit => "dead-letter limit: accepted by an operator, dead-lettering continues",
        }
    }
}
