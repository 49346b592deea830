//! The programs that send, and their command lines.

use std::{path::PathBuf, process::Command};

use serde::Serialize;

use super::perf_test::PerfTest;
use crate::{
    process::{command, kafka_config_arguments},
    settings::ProducerBenchSettings,
};

/// What sends in a slot of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Contestant {
    /// `producer --rate max`.
    Producer,
    /// The minimal loop around librdkafka.
    BareLoop,
    PerfTest,
    /// The producer once more: how much it differs from itself is the noise of the machine.
    ProducerAgain,
}

impl Contestant {
    pub const ALL: [Self; 4] = [Self::Producer, Self::BareLoop, Self::PerfTest, Self::ProducerAgain];

    pub fn name(self) -> &'static str {
        match self {
            Self::Producer => "producer --rate max",
            Self::BareLoop => "bare librdkafka loop",
            Self::PerfTest => "Kafka's perf-test",
            Self::ProducerAgain => "the producer again",
        }
    }
}

/// What the contestants are started with.
pub struct Contest<'settings> {
    pub settings: &'settings ProducerBenchSettings,
    pub payloads: PathBuf,
    /// Of logs and ledgers.
    pub folder: PathBuf,
}

impl Contest<'_> {
    /// The command that sends all orders to `topic` and ends.
    ///
    /// # Errors
    /// When a program is not built.
    pub fn command(&self, contestant: Contestant, topic: &str) -> anyhow::Result<Command> {
        let orders = self.settings.orders.to_string();
        let mut command = match contestant {
            Contestant::Producer | Contestant::ProducerAgain => {
                let mut producer = command("producer")?;
                producer.args(["--rate", "max", "--count", &orders, "--runs-dir"]).arg(&self.folder);
                producer
            }
            Contestant::BareLoop => {
                let mut bare_loop = command("loadtest")?;
                bare_loop.args(["bench", "bare-loop", "--orders", &orders]);
                bare_loop
            }
            // It has no `--warmup-records`: they change what it prints, which is not used, and cost it CPU time.
            Contestant::PerfTest => {
                let settings = self.settings;
                let perf_test = PerfTest {
                    stack: &settings.stack,
                    brokers: &settings.services.kafka.brokers,
                    topic,
                    payloads: &self.payloads,
                    records: settings.orders,
                    throughput: None,
                    properties: &settings.perf_test_props,
                };
                return Ok(perf_test.command());
            }
        };
        let mut services = self.settings.services.clone();
        topic.clone_into(&mut services.topic.topic);
        command.args(kafka_config_arguments(&services.kafka)).envs(services.environment());
        Ok(command)
    }
}
