//! What the programs of a run are started with.

use std::{net::SocketAddr, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context, bail};
use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};
use shared::ledger::{RunId, RunsFolder, Shard};

use crate::{fault::Target, process::command};

/// The settings that all programs of a run share.
#[derive(Clone, Debug)]
pub struct ProgramSetup {
    /// The logs of the programs are in its folder `logs`, their latency logs in `stats`.
    pub folder: PathBuf,
    /// Environment variables of all programs: the services and the consumer group.
    pub environment: Vec<(String, String)>,
    /// `--kafka-config` for consumers and producers.
    pub kafka_config: Vec<String>,
}

/// The producers of a run, one for each shard.
#[derive(Clone, Debug)]
pub struct ProducerSetup {
    pub run_id: RunId,
    pub runs: RunsFolder,
    pub shards: u16,
    /// Due time of the first order. The producers must be started before it.
    pub start_at: DateTime<Utc>,
    /// The schedule and the orders: the same arguments for all shards.
    pub arguments: Vec<String>,
}

impl ProducerSetup {
    /// A first due time at least `delay` from now. Programs count and log by whole seconds of the system clock, and so
    /// the phases begin with one.
    pub fn start_after(delay: Duration) -> DateTime<Utc> {
        (Utc::now() + delay).trunc_subsecs(0) + Duration::from_secs(1)
    }
}

impl ProgramSetup {
    /// Folder of the programs' logs.
    pub fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    /// Folder of the latency logs of consumers and producers.
    pub fn stats_dir(&self) -> PathBuf {
        self.folder.join("stats")
    }

    /// The command of a program that serves its metrics at `address`. A producer whose shard has a ledger resumes it.
    /// `environment` has further variables.
    ///
    /// # Errors
    /// When `target` is a server, a producer without a setup, or a program that is not built.
    pub(super) fn command(
        &self,
        target: Target,
        address: SocketAddr,
        producers: Option<&ProducerSetup>,
        environment: &[(String, String)],
    ) -> anyhow::Result<Command> {
        let mut command = match target {
            Target::CacheWorker => command("cache-worker")?,
            Target::Consumer(_) => self.consumer(target)?,
            Target::Producer(number) => {
                let producers = producers.with_context(|| format!("{target} has no schedule yet"))?;
                self.producer(producers, number)?
            }
            Target::Broker(_) | Target::Redis | Target::Postgres => {
                bail!("{target} is a server of the stack, not a program of the run")
            }
        };
        command.args(["--listen", &address.to_string()]);
        command.envs(self.environment.iter().chain(environment).cloned());
        Ok(command)
    }

    fn consumer(&self, target: Target) -> anyhow::Result<Command> {
        let mut consumer = command("consumer")?;
        consumer.args(["--instance-name", &target.to_string(), "--stats-dir"]).arg(self.stats_dir());
        consumer.args(&self.kafka_config);
        Ok(consumer)
    }

    fn producer(&self, setup: &ProducerSetup, number: u16) -> anyhow::Result<Command> {
        let mut producer = command("producer")?;
        producer.args(&setup.arguments).args(&self.kafka_config);
        producer.args(["--run-id", &setup.run_id.to_string()]);
        producer.args(["--start-at", &setup.start_at.to_rfc3339_opts(SecondsFormat::Nanos, true)]);
        let shard: Shard = format!("{number}/{}", setup.shards).parse()?;
        if shard != Shard::SINGLE {
            producer.args(["--shard", &shard.to_string()]);
        }
        // One that was killed before it created its ledger has sent nothing.
        if setup.runs.has_ledger(&setup.run_id, shard) {
            producer.arg("--resume");
        }
        producer.arg("--runs-dir").arg(&setup.runs.runs_dir).arg("--stats-dir").arg(self.stats_dir());
        Ok(producer)
    }
}
