//! What is measured in a round.

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Contestant {
    /// One consumer.
    Consumer,
    /// Debezium's JDBC sink with its defaults.
    Debezium,
    /// The same with three tasks.
    DebeziumTuned,
    /// Three processes in Python.
    Python,
    /// The producer alone.
    Producer,
    /// kafka-producer-perf-test.
    PerfTest,
}

impl Contestant {
    pub const ALL: [Self; 6] =
        [Self::Consumer, Self::Producer, Self::Debezium, Self::PerfTest, Self::DebeziumTuned, Self::Python];
    pub const SINKS: [Self; 4] = [Self::Consumer, Self::Debezium, Self::DebeziumTuned, Self::Python];
    pub const PRODUCERS: [Self; 2] = [Self::Producer, Self::PerfTest];

    pub fn name(self) -> &'static str {
        match self {
            Self::Consumer => "consumer",
            Self::Debezium => "Debezium, defaults",
            Self::DebeziumTuned => "Debezium, tuned",
            Self::Python => "Python, UNNEST",
            Self::Producer => "producer",
            Self::PerfTest => "perf-test",
        }
    }
}
