use std::path::PathBuf;

use clap::Args;
use shared::{
    kafka::KafkaSettings,
    ledger::{RunId, RunsFolder},
    program::OutputFormat,
};

#[derive(Debug, Args)]
pub struct AuditSettings {
    /// Id of the run, as the producer printed it.
    pub run_id: RunId,
    #[command(flatten)]
    pub runs: RunsFolder,
    /// Folder with the consumers' latency logs; adds latencies to the report.
    #[arg(long, value_name = "FOLDER")]
    pub stats_dir: Option<PathBuf>,
    #[command(flatten)]
    pub kafka: KafkaSettings,
    /// Output format of the report.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
}
