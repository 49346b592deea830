//! What the consumer is told.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use shared::{
    cache::CacheSettings,
    database::{DatabaseArgs, StatementMode},
    kafka::{KafkaSettings, TopicSettings},
    program::{OutputFormat, positive_duration},
    telemetry::TelemetryArgs,
};

use crate::{
    dlq::{letter::Place, replay::Choice},
    flood::Limit,
    gap::OnGap,
};

/// Reads orders from Kafka as one member of a group, fills in region, gender, age group and category, and stores each
/// exactly once in PostgreSQL. Runs until Ctrl-C or SIGTERM; then it stores what it has read, commits and leaves.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Example: consumer --group orders-sink --listen 127.0.0.1:9466\n         consumer dlq list\nAny number of them share the work; those beyond the topic's partitions stand by."
)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Command {
    /// What to do instead of reading.
    #[command(subcommand)]
    pub action: Option<Action>,
    /// The group.
    #[command(flatten)]
    pub group: GroupSettings,
    /// How much at once.
    #[command(flatten)]
    pub batches: BatchSettings,
    /// How orders are enriched.
    #[command(flatten)]
    pub enrichment: EnrichmentSettings,
    /// How statements are run.
    #[command(flatten)]
    pub statements: StatementSettings,
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

/// What to do instead of reading.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Look at the dead letters, and put orders back once their cause is gone.
    #[command(subcommand)]
    Dlq(DlqAction),
}

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub enum DlqAction {
    /// Count them by kind, with an example of each.
    List(Box<DlqSettings>),
    /// Show one whole.
    Show {
        /// PARTITION:OFFSET, as `list` tells it.
        place: Place,
        /// Where it is.
        #[command(flatten)]
        dlq: Box<DlqSettings>,
    },
    /// Put their orders back on the topic. Safe to interrupt and to repeat.
    Replay {
        /// Which ones.
        #[command(flatten)]
        choice: Choice,
        /// Where they are.
        #[command(flatten)]
        dlq: Box<DlqSettings>,
    },
}

/// Where the dead letters are.
#[derive(Debug, Args)]
pub struct DlqSettings {
    /// What to print.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
    /// The cluster.
    #[command(flatten)]
    pub kafka: KafkaSettings,
    /// The topic of the orders, which the dead letters' topic is named for.
    #[command(flatten)]
    pub topic: TopicSettings,
    /// The database, which tells what is settled.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// How the members of a group share its partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GroupProtocol {
    /// Classic, until librdkafka's client of the other protocol has proved reliable.
    Auto,
    /// The brokers assign the partitions (KIP-848; brokers from 4.0 on). librdkafka may leave a partition without an owner.
    Consumer,
    /// A member assigns the partitions, cooperative-sticky.
    Classic,
}

/// The group and how it is left.
#[derive(Clone, Debug, Args)]
pub struct GroupSettings {
    /// Consumer group; its members share the partitions.
    #[arg(long, env = "CONSUMER_GROUP", default_value = "orderflow", help_heading = "Group")]
    pub group: String,
    /// How the partitions are shared.
    #[arg(long, value_enum, default_value = "auto", help_heading = "Group")]
    pub group_protocol: GroupProtocol,
    /// Makes this a static member of the group, under a name that no other member has: one that is restarted within the
    /// session's length finds its partitions where it left them, and nothing moves meanwhile.
    #[arg(long, env = "CONSUMER_INSTANCE_ID", help_heading = "Group")]
    pub instance_id: Option<String>,
    /// At a stop, a static member leaves for good (to scale down) rather than for a moment: others take over at once.
    /// Needs the classic protocol.
    #[arg(long, requires = "instance_id", help_heading = "Group")]
    pub leave: bool,
    /// What to do about a committed offset that the topic doesn't have (any more): records may have been deleted unread.
    #[arg(long, value_enum, default_value = "end", help_heading = "Group")]
    pub on_gap: OnGap,
    /// A partition that is behind and gets no further for so long, while nothing is known to be in the way, ends the instance.
    #[arg(long, default_value = "2m", value_parser = positive_duration, value_name = "DURATION", help_heading = "Group")]
    pub stuck_after: Duration,
    /// This instance's name in dead letters, logs and statistics; the instance id, or made of the process id, when not given.
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
        let name = self.instance.clone().or_else(|| self.instance_id.clone());
        name.unwrap_or_else(|| format!("consumer-{}", std::process::id()))
    }
}

/// How much is taken at once.
#[derive(Clone, Copy, Debug, Args)]
pub struct BatchSettings {
    /// Database connections that insert side by side; each partition always has the same.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=64), help_heading = "Batches")]
    pub writers: u8,
    /// Most rows of one insert. A batch is all that is waiting, up to this; nothing lingers for it to fill.
    // As many as a producer of ours sends to a partition at once: measured a tenth faster than 2,000, and 5,000 take 16 MiB more.
    #[arg(long, default_value_t = 3_000, value_parser = clap::value_parser!(u32).range(1..=100_000), help_heading = "Batches")]
    pub max_batch: u32,
    /// Most memory for records that were read and not yet stored, in MiB.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1_024), value_name = "MIB", help_heading = "Batches")]
    pub queue_size: u32,
    /// How many dead letters of one kind within 10 s are a flood: more than this share of the records (and a hundred at
    /// least), or more than this number. The instance then dead-letters nothing more and pauses until it gets the signal
    /// USR1. `none` for no limit.
    #[arg(long, default_value_t, value_name = "SHARE%,NUMBER", help_heading = "Batches")]
    pub dead_letter_limit: Limit,
}

/// How orders are enriched.
#[derive(Clone, Copy, Debug, Args)]
pub struct EnrichmentSettings {
    /// How long what was learnt of a user or a product is believed without asking again: a change in the tables is seen in
    /// the orders after the cache-worker's next round and this.
    #[arg(long, default_value = "30s", value_parser = positive_duration, value_name = "DURATION", help_heading = "Batches")]
    pub remember: Duration,
}

/// How statements are run.
#[derive(Clone, Copy, Debug, Args)]
pub struct StatementSettings {
    /// Prepared statements are planned once a connection. A pooler that gives each transaction another connection breaks
    /// them: behind one, use unnamed.
    #[arg(long, value_enum, default_value = "prepared", help_heading = "Database")]
    pub statements: StatementMode,
    /// How long a statement may take before the database counts as lost.
    #[arg(long, default_value = "15s", value_parser = humantime::parse_duration, value_name = "DURATION", help_heading = "Database")]
    pub statement_deadline: Duration,
}
