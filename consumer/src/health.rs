//! The issues that make the consumer not ready.

use std::borrow::Cow;

use shared::health::{Health, HealthIssue};

use crate::model::WorkerId;

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
    /// PostgreSQL can't be reached by a worker, or fails.
    Database(WorkerId),
    /// The statements of a worker take too long.
    SlowStatements(WorkerId),
    /// A dead letter is not acknowledged.
    DeadLetterTopic,
    /// A kind of dead letters is over the limit.
    DeadLetterLimit,
}

impl ConsumerIssue {
    /// The worker that has the issue; none if it is an issue of all of them.
    pub fn worker(self) -> Option<WorkerId> {
        match self {
            Self::Database(worker) | Self::SlowStatements(worker) => Some(worker),
            Self::Brokers | Self::Group | Self::PartitionOwners | Self::DeadLetterTopic | Self::DeadLetterLimit => None,
        }
    }
}

impl HealthIssue for ConsumerIssue {
    fn resolution(self) -> Cow<'static, str> {
        match self {
            Self::Brokers => "Kafka: working again".into(),
            Self::Group => "consumer group: this instance is a member".into(),
            Self::PartitionOwners => "consumer group: all partitions that are behind have an owner".into(),
            Self::Database(worker) => format!("PostgreSQL: working again for worker {worker}").into(),
            Self::SlowStatements(worker) => format!("PostgreSQL: worker {worker} has stored its batch").into(),
            Self::DeadLetterTopic => "dead-letter topic: working again".into(),
            Self::DeadLetterLimit => "dead-letter limit: accepted by an operator, dead-lettering continues".into(),
        }
    }
}
