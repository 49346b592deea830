use clap::Args;
use shared::{cache::CacheSettings, kafka::KafkaSettings, ledger::RunsFolder, program::OutputFormat};

#[derive(Debug, Args)]
pub struct DebugSettings {
    /// Topic of the orders.
    #[arg(long, env = "ORDERS_TOPIC", default_value = "orders", help_heading = "Kafka")]
    pub topic: String,
    #[command(flatten)]
    pub kafka: KafkaSettings,
    #[command(flatten)]
    pub cache: CacheSettings,
    #[command(flatten)]
    pub runs: RunsFolder,
    /// Format of the result.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
}
