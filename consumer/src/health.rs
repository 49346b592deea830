//! The issues of the services that the consumer depends on.

use std::borrow::Cow;

use shared::health::{Dependency, DependencyState, Health, HealthIssue};

use crate::model::WorkerId;

/// The consumer's health, for its pages and the log.
pub type ConsumerHealth = Health<ConsumerIssue>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConsumerIssue {
    /// No broker answers.
    Brokers,
    /// Partitions of this instance can't be started.
    PartitionStart,
    /// The group does not accept this instance yet.
    Group,
    /// A partition is behind, gains nothing and has no owner in the group.
    PartitionOwners,
    /// PostgreSQL can't be reached by a worker, or fails.
    Database(WorkerId),
    /// The statements of a worker take too long.
    SlowStatements(WorkerId),
    /// Redis does not answer.
    Redis,
    /// A dead letter is not acknowledged.
    DeadLetterTopic,
    /// A kind of dead letters is over the limit.
    DeadLetterLimit,
}

impl ConsumerIssue {
    /// Whether the issue explains that a partition of `worker` gains nothing. That some partition of the group has no
    /// owner says nothing about those of this instance.
    pub fn explains_lag_of(self, worker: WorkerId) -> bool {
        match self {
            Self::Database(affected) | Self::SlowStatements(affected) => affected == worker,
            // The watchdog ends the instance, since another one may be able to start the partition.
            Self::PartitionStart => false,
            Self::PartitionOwners | Self::Redis => false,
            Self::Brokers | Self::Group | Self::DeadLetterTopic | Self::DeadLetterLimit => true,
        }
    }
}

impl HealthIssue for ConsumerIssue {
    const DEPENDENCIES: &'static [Dependency] = &[
        Dependency::Brokers,
        Dependency::ConsumerGroup,
        Dependency::DeadLetterTopic,
        Dependency::Postgres,
        Dependency::Redis,
    ];

    fn dependency(self) -> Dependency {
        match self {
            Self::Brokers | Self::PartitionStart => Dependency::Brokers,
            Self::Group | Self::PartitionOwners => Dependency::ConsumerGroup,
            Self::Database(_) | Self::SlowStatements(_) => Dependency::Postgres,
            Self::Redis => Dependency::Redis,
            Self::DeadLetterTopic | Self::DeadLetterLimit => Dependency::DeadLetterTopic,
        }
    }

    fn state(self) -> DependencyState {
        match self {
            Self::Redis => DependencyState::Degraded,
            _ => DependencyState::Down,
        }
    }

    fn action(self) -> &'static str {
        match self {
            Self::Brokers => "reads again once they answer",
            Self::PartitionStart => "looks up where to start every second",
            Self::Group => "joins the group again",
            Self::PartitionOwners => "joins the group anew",
            Self::Database(_) => "retries until it succeeds, and keeps its partitions",
            Self::SlowStatements(_) => "waits for the statement",
            Self::Redis => "looks up users and products in PostgreSQL",
            Self::DeadLetterTopic => "retries until it succeeds",
            Self::DeadLetterLimit => "waits for SIGUSR1",
        }
    }

    fn resolution(self) -> Cow<'static, str> {
        match self {
            Self::Brokers => "Kafka: working again".into(),
            Self::PartitionStart => "Kafka: no partition waits for its start any more".into(),
            Self::Group => "consumer group: this instance is a member".into(),
            Self::PartitionOwners => "consumer group: all partitions that are behind have an owner".into(),
            Self::Database(worker) => format!("PostgreSQL: working again for worker {worker}").into(),
            Self::SlowStatements(worker) => format!("PostgreSQL: worker {worker} has stored its batch").into(),
            Self::Redis => "Redis: working again".into(),
            Self::DeadLetterTopic => "dead-letter topic: working again".into(),
            Self::DeadLetterLimit => "dead-letter limit: accepted by an operator, dead-lettering continues".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issue_explains_the_lag_of_its_worker_or_of_all_but_not_that_of_a_partition_with_an_owner() {
        let [first, second] = [0, 1].map(|partition| WorkerId::of_partition(partition, 2));
        let explains = |issue: ConsumerIssue| [first, second].map(|worker| issue.explains_lag_of(worker));
        assert_eq!(explains(ConsumerIssue::Database(first)), [true, false]);
        assert_eq!(explains(ConsumerIssue::SlowStatements(second)), [false, true]);
        assert_eq!(explains(ConsumerIssue::DeadLetterTopic), [true, true]);
        assert_eq!(explains(ConsumerIssue::PartitionOwners), [false, false], "the watchdog goes on");
    }
}
