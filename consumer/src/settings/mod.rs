//! The command line and environment of the consumer.

mod batches;
mod dead_letters;
mod dlq;
mod enrichment;
mod group;
mod invalidation;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use shared::{
    completions::CompletionSettings,
    program::ProgramArgs,
    services::ServiceSettings,
    telemetry::{LogSettings, ProgramInfo, TelemetrySettings},
    traces::TraceExportSettings,
};

pub use self::{
    batches::{BatchSettings, StatementSettings},
    dead_letters::{DeadLetterLimit, DeadLetterSettings},
    dlq::{DlqAction, DlqSettings, ReplaySelection},
    enrichment::EnrichmentSettings,
    group::{GroupProtocol, GroupSettings, OnOffsetOutOfRange},
    invalidation::InvalidationSettings,
};

/// Reads orders and changes of their statuses from Kafka as a member of a consumer group, adds region, gender, age
/// group and category to orders, and stores each exactly once in PostgreSQL. Runs until Ctrl-C or SIGTERM; then it
/// stores what it has read, commits and leaves the group.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:\n  consumer --group orders-sink --listen 127.0.0.1:9466\n  consumer dlq list\n\n\
                  Any number of instances share the topic; those beyond its number of partitions are on standby."
)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Command {
    #[command(subcommand)]
    pub action: Option<Action>,
    #[command(flatten)]
    pub group: GroupSettings,
    #[command(flatten)]
    pub batches: BatchSettings,
    #[command(flatten)]
    pub enrichment: EnrichmentSettings,
    #[command(flatten)]
    pub dead_letters: DeadLetterSettings,
    #[command(flatten)]
    pub statements: StatementSettings,
    #[command(flatten)]
    pub invalidation: InvalidationSettings,
    #[command(flatten)]
    pub services: ServiceSettings,
    #[command(flatten)]
    pub telemetry: TelemetrySettings,
    #[command(flatten)]
    pub log: LogSettings,
    #[command(flatten)]
    pub traces: TraceExportSettings,
    /// Append latency logs (HdrHistogram interval logs, one interval per second) in this folder.
    #[arg(long, value_name = "FOLDER", help_heading = "Telemetry")]
    pub stats_dir: Option<PathBuf>,
}

impl ProgramArgs for Command {
    const PROGRAM: ProgramInfo = ProgramInfo { program: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") };

    fn log_settings(&self) -> LogSettings {
        self.log
    }
}

#[derive(Debug, Subcommand)]
pub enum Action {
    /// List and show dead letters, and replay them once their cause is gone.
    #[command(subcommand)]
    Dlq(DlqAction),
    /// Print the completions for a shell: `source <(consumer completions bash)`.
    Completions(CompletionSettings),
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_former_names_of_flags_still_work() {
        let arguments = ["--remember", "7s", "--on-gap", "continue", "--writers", "5", "--instance", "first"];
        let command = Command::parse_from(["consumer"].iter().chain(&arguments));
        assert_eq!(command.enrichment.cache_ttl, Duration::from_secs(7));
        assert_eq!(command.group.on_offset_out_of_range, OnOffsetOutOfRange::Continue);
        assert_eq!((command.batches.workers, command.group.instance_name()), (5, "first".to_owned()));
    }
}
