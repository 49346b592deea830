//! What `loadtest` is told.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use producer::pace::Rate;
use shared::{
    cache::CacheSettings,
    database::DatabaseArgs,
    kafka::{KafkaSettings, TopicSettings},
    ledger::RunsDirectory,
    program::{OutputFormat, positive_duration},
};

/// Starts, breaks and measures the programs of orderflow.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Command {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Run the whole line once: cache-worker, consumers, one producer run; wait until all is stored; audit; sum up.
    Pipeline(Box<PipelineSettings>),
    /// Measure our programs beside others that do the same, and print the ratios.
    #[command(subcommand)]
    Bench(BenchAction),
}

/// What to measure.
#[derive(Debug, Subcommand)]
pub enum BenchAction {
    /// The producer without a schedule, kafka-producer-perf-test and a bare librdkafka loop, on the same records.
    Producer(Box<ProducerBenchSettings>),
    /// A lookup in the cache and one straight in PostgreSQL, on tables of several sizes, and what the database is spared.
    Cache(Box<CacheBenchSettings>),
    /// The consumer, Debezium's JDBC sink, a consumer in Python and `COPY`, on the same orders into the same table.
    Sink(Box<SinkBenchSettings>),
}

/// A bench of the consumer. The brokers and the database must take connections without TLS: the others are not set up for it.
#[derive(Clone, Debug, Args)]
pub struct SinkBenchSettings {
    /// Orders that each stores in a round: fewer would be stored between two looks at the table.
    #[arg(long, default_value_t = 500_000, value_parser = clap::value_parser!(u64).range(100_000..=2_000_000))]
    pub orders: u64,
    /// Rounds that count; one more goes before them to warm everything up.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// The folder whose scripts install and start the others.
    #[arg(long, default_value = "benches/peers", value_name = "PATH")]
    pub peers: PathBuf,
    /// What to print at the end.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
    /// Where it has its corner.
    #[command(flatten)]
    pub services: Services,
}

/// A bench of the cache. The server must have pg_stat_statements loaded, as that of deploy/stack has.
#[derive(Clone, Debug, Args)]
pub struct CacheBenchSettings {
    /// Users of the tables that are measured.
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 100_000, 1_000_000], value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    pub users: Vec<u64>,
    /// Orders a second of the producer that runs all the while.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate: u32,
    /// How long each way of looking up is measured on each table.
    #[arg(long, default_value = "5s", value_parser = positive_duration)]
    pub lookups_for: Duration,
    /// Of the cache-worker's rounds; statements are counted for two intervals.
    #[arg(long, default_value = "50s", value_parser = positive_duration)]
    pub interval: Duration,
    /// What to print at the end.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
    /// Where it has its corner.
    #[command(flatten)]
    pub services: Services,
}

/// The services in which a bench has a corner of its own.
#[derive(Clone, Debug, Args)]
pub struct Services {
    /// The cluster.
    #[command(flatten)]
    pub kafka: KafkaSettings,
    /// How the bench's own topics are made; their names are always new ones.
    #[command(flatten)]
    pub topic: TopicSettings,
    /// The cache; the bench has its own keys.
    #[command(flatten)]
    pub cache: CacheSettings,
    /// The server; the bench makes a database of its own, which takes the right to do so.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// A bench of the producer.
#[derive(Clone, Debug, Args)]
pub struct ProducerBenchSettings {
    /// Orders that each sends in a round.
    #[arg(long, default_value_t = 3_000_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub orders: u64,
    /// Rounds that count; one more goes before them to warm the brokers up.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// The script that runs Kafka's own tools.
    #[arg(long, default_value = "deploy/stack", value_name = "PATH")]
    pub stack_script: PathBuf,
    /// The stack that the script runs them on; it must be the one that KAFKA_BROKERS names.
    #[arg(long, env = "ORDERFLOW_STACK", default_value = "main", value_name = "NAME")]
    pub stack: String,
    /// Further settings of kafka-producer-perf-test's client; by default those that served it best.
    #[arg(
        long,
        default_values_t = ["linger.ms=20", "batch.size=1000000", "buffer.memory=134217728"].map(str::to_owned),
        value_name = "KEY=VALUE"
    )]
    pub perf_test_props: Vec<String>,
    /// What to print at the end.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
    /// The cluster.
    #[command(flatten)]
    pub kafka: KafkaSettings,
    /// How the bench's own topic is made; its name is always a new one.
    #[command(flatten)]
    pub topic: TopicSettings,
    /// The cache, which must be filled.
    #[command(flatten)]
    pub cache: CacheSettings,
}

/// One run of the whole line.
#[derive(Clone, Debug, Args)]
pub struct PipelineSettings {
    /// Orders a second.
    #[arg(long, default_value = "1000")]
    pub rate: Rate,
    /// How long orders become due.
    #[arg(long, default_value = "30s", value_parser = positive_duration)]
    pub duration: Duration,
    /// Send at the same rate for so long first, in a run of its own: brokers that have just been started compile their code
    /// as they go, and take hundreds of milliseconds for what takes three once they are warm.
    #[arg(long, value_parser = positive_duration, value_name = "DURATION")]
    pub warm_up: Option<Duration>,
    /// Consumers that share the topic.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub consumers: u16,
    /// Leave the cache-worker and the consumers running at the end.
    #[arg(long)]
    pub keep: bool,
    /// Only look whether the settings are usable.
    #[arg(long, hide = true)]
    pub check_only: bool,
    /// The consumers' group.
    #[arg(long, env = "CONSUMER_GROUP", default_value = "orderflow")]
    pub group: String,
    /// Folder of the programs' logs and latency logs; beside the run ledgers when not given.
    #[arg(long, value_name = "FOLDER")]
    pub work_dir: Option<PathBuf>,
    /// What to print at the end.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
    /// Where the producer leaves the run's ledger.
    #[command(flatten)]
    pub runs: RunsDirectory,
    /// The cluster.
    #[command(flatten)]
    pub kafka: KafkaSettings,
    /// The topic.
    #[command(flatten)]
    pub topic: TopicSettings,
    /// The cache.
    #[command(flatten)]
    pub cache: CacheSettings,
    /// The database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}
