//! The issues of the services that the producer depends on.

use std::borrow::Cow;

use shared::health::{Dependency, DependencyState, Health, HealthIssue};

/// The producer's health, for its pages and the log.
pub type ProducerHealth = Health<ProducerIssue>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProducerIssue {
    /// No order has been sent yet.
    NotStarted,
    /// Orders are in flight, and none is acknowledged.
    NoAcknowledgement,
    /// Redis has no new samples.
    NoSamples,
}

impl HealthIssue for ProducerIssue {
    const DEPENDENCIES: &'static [Dependency] = &[Dependency::Brokers, Dependency::Redis];

    fn dependency(self) -> Dependency {
        match self {
            Self::NotStarted | Self::NoAcknowledgement => Dependency::Brokers,
            Self::NoSamples => Dependency::Redis,
        }
    }

    fn state(self) -> DependencyState {
        match self {
            Self::NotStarted | Self::NoAcknowledgement => DependencyState::Down,
            Self::NoSamples => DependencyState::Degraded,
        }
    }

    fn action(self) -> &'static str {
        match self {
            Self::NotStarted => "sends at the start of its schedule",
            Self::NoAcknowledgement => "retries until the orders time out (message.timeout.ms)",
            Self::NoSamples => "continues with the last samples",
        }
    }

    fn resolution(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::NotStarted => "Kafka: sending has begun",
            Self::NoAcknowledgement => "Kafka: orders are acknowledged again",
            Self::NoSamples => "Redis: working again, samples are fetched",
        })
    }
}
