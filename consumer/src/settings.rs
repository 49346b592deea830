//! What the consumer is told.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, ValueEnum};
use shared::{
    cache::CacheSettings,
    database::DatabaseArgs,
    kafka::{KafkaSettings, TopicSettings},
    telemetry::TelemetryArgs,
};

/// Reads orders from Kafka as one member of a group, fills in region, gender, age group and category, and stores each
/// exactly once in PostgreSQL. Runs until Ctrl-C or SIGTERM; then it stores what it has read, commits and leaves.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Example: consumer --group orders-sink --listen 127.0.0.1:9466\nAny number of them share the work; those beyond the topic's partitions stand by."
)]
pub struct Command {
    /// The group.
    #[command(flatten)]
    pub group: GroupSettings,
    /// How much at once.
    #[command(flatten)]
    pub batches: BatchSettings,
    /// Where users and products are looked up first.
    #[command(flatten)]
    pub cache: CacheSettings,
    /// The cluster.
    #[command(flatten)]
    pub kafka: KafkaSettings,
    /// The topic.
    #[command(flatten)]
    pub topic: TopicSettings,
    /// The database.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Metrics and health.
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
    /// Append latency logs (HdrHistogram, one interval a second) in this folder.
    #[arg(long, value_name = "FOLDER", help_heading = "Telemetry")]
    pub stats_dir: Option<PathBuf>,
}

/// How the members of a group share its partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GroupProtocol {
    /// The brokers assign (KIP-848; brokers from 4.0 on).
    Consumer,
    /// A member assigns, cooperative-sticky.
    Classic,
}

/// The group and how it is left.
#[derive(Clone, Debug, Args)]
pub struct GroupSettings {
    /// Consumer group; its members share the partitions.
    #[arg(long, env = "CONSUMER_GROUP", default_value = "orderflow", help_heading = "Group")]
    pub group: String,
    /// How the partitions are shared; all members must say the same.
    #[arg(long, value_enum, default_value = "consumer", help_heading = "Group")]
    pub group_protocol: GroupProtocol,
    /// This instance's name in dead letters, logs and statistics; made of the process id when not given.
    #[arg(long, env = "CONSUMER_INSTANCE", help_heading = "Group")]
    pub instance: Option<String>,
    /// How long a partition that goes to another member is drained first; what is left then is handed back.
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration, value_name = "DURATION", help_heading = "Group")]
    pub drain: Duration,
    /// How long a stop may take; what is left then is handed back.
    #[arg(long, default_value = "20s", value_parser = humantime::parse_duration, value_name = "DURATION", help_heading = "Group")]
    pub stop_deadline: Duration,
}

impl GroupSettings {
    /// This instance's name.
    pub fn instance(&self) -> String {
        self.instance.clone().unwrap_or_else(|| format!("consumer-{}", std::process::id()))
    }
}

/// How much is taken at once.
#[derive(Clone, Copy, Debug, Args)]
pub struct BatchSettings {
    /// Database connections that insert side by side; each partition always has the same.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=64), help_heading = "Batches")]
    pub writers: u8,
    /// Most rows of one insert. A batch is all that is waiting, up to this; nothing lingers for it to fill.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=100_000), help_heading = "Batches")]
    pub max_batch: u32,
    /// Most memory for records that were read and not yet stored, in MiB.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1_024), value_name = "MIB", help_heading = "Batches")]
    pub queue_size: u32,
    /// How long a statement may take before the database counts as lost.
    #[arg(long, default_value = "15s", value_parser = humantime::parse_duration, value_name = "DURATION", help_heading = "Batches")]
    pub statement_deadline: Duration,
}
