//! The sinks that are measured in a round.

use serde::Serialize;

/// What stores the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sink {
    /// One consumer, with three connections.
    Consumer,
    ThreeConsumers,
    Debezium,
    DebeziumTuned,
    PythonUnnest,
    PythonCopy,
    /// PostgreSQL's `COPY` of the rows alone.
    Copy,
    /// One consumer once more: how much it differs from itself is the noise of the machine.
    ConsumerAgain,
}

impl Sink {
    pub const ALL: [Self; 8] = [
        Self::Consumer,
        Self::ThreeConsumers,
        Self::Debezium,
        Self::DebeziumTuned,
        Self::PythonUnnest,
        Self::PythonCopy,
        Self::Copy,
        Self::ConsumerAgain,
    ];

    /// Those that store changes of orders as well.
    pub const OF_LIFECYCLES: [Self; 4] = [Self::Consumer, Self::Debezium, Self::DebeziumTuned, Self::ConsumerAgain];

    pub fn name(self) -> &'static str {
        match self {
            Self::Consumer => "one consumer",
            Self::ThreeConsumers => "three consumers",
            Self::Debezium => "Debezium JDBC sink",
            Self::DebeziumTuned => "Debezium, tuned",
            Self::PythonUnnest => "Python, UNNEST",
            Self::PythonCopy => "Python, COPY and INSERT",
            Self::Copy => "COPY of the rows alone",
            Self::ConsumerAgain => "one consumer again",
        }
    }
}
