use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use shared::{
    program::{OutputFormat, positive_duration},
    services::ServiceSettings,
};

#[derive(Debug, Subcommand)]
pub enum BenchAction {
    /// The producer without a schedule, kafka-producer-perf-test and a bare librdkafka loop, on the same records.
    ///
    /// The cache must be filled. The bench creates its own topics and deletes them. It does not connect to the
    /// database.
    Producer(Box<ProducerBenchSettings>),
    /// Lookups in the cache and in PostgreSQL, on tables of several sizes, and the number of statements that the cache
    /// saves.
    ///
    /// The server must have pg_stat_statements loaded, as the server of deploy/stack has. The bench creates its own
    /// topics, cache keys and database, and deletes them at the end; the database user needs CREATEDB.
    Cache(Box<CacheBenchSettings>),
    /// The consumer, Debezium's JDBC sink, a consumer in Python and `COPY`, on the same orders into the same table.
    ///
    /// The brokers and the database must accept connections without TLS, because the other sinks are set up without it.
    /// The bench creates its own topics, cache keys and database, and deletes them at the end; the database user needs
    /// CREATEDB.
    Sink(Box<SinkBenchSettings>),
    /// The bare loop of `bench producer`, as a process of its own.
    #[command(hide = true)]
    BareLoop(Box<BareLoopSettings>),
}

#[derive(Clone, Debug, Args)]
pub struct BareLoopSettings {
    /// Orders to send to the topic.
    #[arg(long)]
    pub orders: u64,
    #[command(flatten)]
    pub services: ServiceSettings,
}

#[derive(Clone, Debug, Args)]
pub struct SinkBenchSettings {
    /// Orders that each sink stores in a round. With fewer than 100000, the time between two polls of the table
    /// distorts the result.
    #[arg(long, default_value_t = 500_000, value_parser = clap::value_parser!(u64).range(100_000..=2_000_000))]
    pub orders: u64,
    /// Measured rounds; one more round before them warms up brokers and JVMs and is not counted. After a multiple of
    /// eight, each sink was in every place of a round.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Folder of the scripts that install and start the other sinks.
    #[arg(long, default_value = "benches/peers", value_name = "PATH")]
    pub peers: PathBuf,
    /// Output format of the result.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
    #[command(flatten)]
    pub services: ServiceSettings,
}

#[derive(Clone, Debug, Args)]
pub struct CacheBenchSettings {
    /// Table sizes to measure, in users.
    #[arg(
        long,
        value_delimiter = ',',
        default_values_t = [10_000, 100_000, 1_000_000],
        value_parser = clap::value_parser!(u64).range(1_000..=10_000_000)
    )]
    pub users: Vec<u64>,
    /// Orders per second of the producer that runs in the background.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate: u32,
    /// How long each lookup method is measured on each table.
    #[arg(long, alias = "lookups-for", default_value = "5s", value_parser = positive_duration)]
    pub lookup_duration: Duration,
    /// Interval of the cache-worker; statements are counted during two intervals.
    #[arg(long, default_value = "50s", value_parser = positive_duration)]
    pub interval: Duration,
    /// Output format of the result.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
    #[command(flatten)]
    pub services: ServiceSettings,
}

#[derive(Clone, Debug, Args)]
pub struct ProducerBenchSettings {
    /// Orders that each program sends in a round. With few, the time between two readings of the topic distorts the
    /// result.
    #[arg(long, default_value_t = 3_000_000, value_parser = clap::value_parser!(u64).range(100_000..=1_000_000_000))]
    pub orders: u64,
    /// Measured rounds; one more round before them warms up the brokers and is not counted. After a multiple of four,
    /// each program was in every place of a round.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Script that runs Kafka's own tools.
    #[arg(long, default_value = "deploy/stack", value_name = "PATH")]
    pub stack_script: PathBuf,
    /// Stack on which the script runs them; KAFKA_BROKERS must name the same one.
    #[arg(long, env = "ORDERFLOW_STACK", default_value = "main", value_name = "NAME")]
    pub stack: String,
    /// Further client settings of kafka-producer-perf-test. The defaults are the fastest that were found.
    #[arg(
        long,
        default_values_t = ["linger.ms=20", "batch.size=1000000", "buffer.memory=134217728"].map(str::to_owned),
        value_name = "KEY=VALUE"
    )]
    pub perf_test_props: Vec<String>,
    /// Output format of the result.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
    #[command(flatten)]
    pub services: ServiceSettings,
}
