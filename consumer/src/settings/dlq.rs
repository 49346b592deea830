use clap::{Args, Subcommand};
use shared::{
    database::DatabaseArgs,
    kafka::{KafkaSettings, TopicSettings},
    program::OutputFormat,
};

use crate::model::RecordPosition;

#[derive(Debug, Subcommand)]
pub enum DlqAction {
    /// Count the dead letters by kind, with a sample of each kind.
    List(Box<DlqSettings>),
    /// Print one dead letter with all of its headers.
    Show {
        /// PARTITION:OFFSET, as `list` prints it.
        position: RecordPosition,
        #[command(flatten)]
        dlq: Box<DlqSettings>,
    },
    /// Send orders to their topic again. Can be interrupted and repeated. Exits with 3 when some can't be sent.
    Replay {
        #[command(flatten)]
        selection: ReplaySelection,
        #[command(flatten)]
        dlq: Box<DlqSettings>,
    },
}

/// The dead-letter topic and the database.
#[derive(Debug, Args)]
pub struct DlqSettings {
    /// The format of the output.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
    #[command(flatten)]
    pub kafka: KafkaSettings,
    /// The topic of the orders; the name of the dead-letter topic derives from it.
    #[command(flatten)]
    pub topic: TopicSettings,
    /// Consumer group of the orders: a replayed record that it has not consumed yet is not replayed again.
    #[arg(long, env = "CONSUMER_GROUP", default_value = "orderflow")]
    pub group: String,
    /// The database whose table shows which orders are stored.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// The dead letters to replay.
#[derive(Clone, Debug, Args)]
pub struct ReplaySelection {
    /// Replay only this kind, as `dlq list` names it.
    #[arg(long)]
    pub kind: Option<String>,
    /// Maximum number of orders to replay.
    #[arg(long, value_name = "NUMBER")]
    pub limit: Option<u64>,
    /// Skip records that were replayed this often and dead-lettered again.
    #[arg(long, default_value_t = 3, value_name = "NUMBER")]
    pub max_replays: u32,
    /// Print how many orders would be replayed, and replay none.
    #[arg(long)]
    pub dry_run: bool,
}
