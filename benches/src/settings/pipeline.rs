use std::{path::PathBuf, time::Duration};

use clap::Args;
use producer::pace::Rate;
use shared::{
    ledger::RunsFolder,
    program::{OutputFormat, positive_duration},
    requirement::Requirement,
    services::ServiceSettings,
    telemetry::LogFormat,
};

/// What is sent before the measured run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarmUp {
    /// Orders until the latency has settled.
    UntilSettled,
    For(Duration),
    None,
}

/// What becomes of the orders of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// They stay as they are placed.
    Placed,
    /// Their status changes, for up to a minute after the last order.
    Changing,
}

impl PipelineSettings {
    /// What becomes of the orders of the measured run.
    pub fn lifecycle(&self) -> Lifecycle {
        if self.lifecycle { Lifecycle::Changing } else { Lifecycle::Placed }
    }

    pub fn how_to_warm_up(&self) -> WarmUp {
        match self.warm_up {
            _ if self.no_warm_up => WarmUp::None,
            Some(duration) => WarmUp::For(duration),
            None => WarmUp::UntilSettled,
        }
    }
}

#[derive(Clone, Debug, Args)]
pub struct PipelineSettings {
    /// Orders per second.
    #[arg(long, default_value = "1000")]
    pub rate: Rate,
    /// How long the producer sends.
    #[arg(long, default_value = "30s", value_parser = positive_duration)]
    pub duration: Duration,
    /// Before the measured run, send at the same rate for this long, in a run of its own. By default, until the latency
    /// from due to stored has settled, for at most 16 s: brokers that have just been started have latencies of hundreds
    /// of milliseconds until their JVM has compiled its code; warm brokers have three.
    #[arg(long, value_parser = positive_duration, value_name = "DURATION", conflicts_with = "no_warm_up")]
    pub warm_up: Option<Duration>,
    /// Send nothing before the measured run.
    #[arg(long)]
    pub no_warm_up: bool,
    /// Change the status of the orders as well, as producer --lifecycle does: for up to a minute after the last order.
    /// The audit then compares each change, too.
    #[arg(long)]
    pub lifecycle: bool,
    /// Number of consumers in the group.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub consumers: u16,
    /// Exit with 3 unless this holds at the end, such as 'stored p99 < 250ms' or 'ack p99 < 50ms'; may be repeated.
    /// Metrics: those of producer --require, and stored (with a percentile, such as p99 or max), missing, altered,
    /// conflicting, unexpected, duplicates, dead_letters.
    #[arg(long, value_name = "REQUIREMENT", value_parser = Requirement::of_pipeline)]
    pub require: Vec<Requirement>,
    /// Leave the cache-worker and the consumers running at the end.
    #[arg(long)]
    pub keep: bool,
    /// Only check the settings.
    #[arg(long, hide = true)]
    pub check_only: bool,
    /// Consumer group.
    #[arg(long, env = "CONSUMER_GROUP", default_value = "orderflow")]
    pub group: String,
    /// Folder of the programs' logs and latency logs; by default a new folder in the folder of the run ledgers.
    #[arg(long, value_name = "FOLDER")]
    pub work_dir: Option<PathBuf>,
    /// Output format of the summary.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
    #[command(flatten)]
    pub runs: RunsFolder,
    #[command(flatten)]
    pub services: ServiceSettings,
    /// The form of this program's log lines, and of those of the producer among them.
    #[arg(skip)]
    pub log_format: LogFormat,
}
