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
    /// Latency at a steady rate: from due to stored for the consumer, Debezium's JDBC sink and a consumer in Python, and
    /// from due to acknowledged for the producer and kafka-producer-perf-test, with the CPU time of each.
    ///
    /// The server must have `track_commit_timestamp`, as the server of deploy/stack has. The brokers and the database
    /// must accept connections without TLS, because the other sinks are set up without it. The bench creates its own
    /// topics, cache keys and database, and deletes them at the end; the database user needs CREATEDB.
    Latency(Box<LatencyBenchSettings>),
    /// What TLS, PgBouncer and both cost: a new connection, a lookup and the consumer, as ratios to a plain connection.
    ///
    /// The database must be that of the stack (`--stack`), which must have PgBouncer (`deploy/stack up --with
    /// pgbouncer`). The bench creates its own topics, cache keys and database, and deletes them at the end.
    Connections(Box<ConnectionsBenchSettings>),
    /// What the optional indexes of table orders cost the consumer.
    ///
    /// The bench creates its own topics, cache keys and database, and deletes them at the end; the database user needs
    /// CREATEDB.
    Indexes(Box<IndexBenchSettings>),
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
    /// The orders change their status: each has some 2.5 changes after it was placed. The consumer stores their history
    /// as well; Debezium's JDBC sink, the only peer then, gets the same events as whole rows, which it upserts.
    #[arg(long)]
    pub lifecycle: bool,
    /// Measured rounds; one more round before them warms up brokers and JVMs and is not counted. After a multiple of
    /// eight, each sink was in every place of a round; with --lifecycle, after a multiple of four.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Folder of the scripts that install and start the other sinks.
    #[arg(long, default_value = "benches/peers", value_name = "PATH")]
    pub peers: PathBuf,
    #[command(flatten)]
    pub stack: BenchStackSettings,
    /// Output format of the result.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
    #[command(flatten)]
    pub services: ServiceSettings,
}

#[derive(Clone, Debug, Args)]
pub struct ConnectionsBenchSettings {
    /// Orders that the consumer stores by each path in a round.
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(100_000..=2_000_000))]
    pub orders: u64,
    /// Measured rounds; one more round before them warms up the servers and is not counted. After a multiple of four,
    /// each path was in every place of a round.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Connections that are opened by each path in a round.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub connections: u32,
    /// How long lookups are measured by each path in a round.
    #[arg(long, default_value = "2s", value_parser = positive_duration)]
    pub lookup_duration: Duration,
    #[command(flatten)]
    pub stack: BenchStackSettings,
    /// Output format of the result.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
    #[command(flatten)]
    pub services: ServiceSettings,
}

#[derive(Clone, Debug, Args)]
pub struct IndexBenchSettings {
    /// Orders that the consumer stores with each set of indexes in a round.
    #[arg(long, default_value_t = 500_000, value_parser = clap::value_parser!(u64).range(100_000..=2_000_000))]
    pub orders: u64,
    /// Measured rounds; one more round before them warms up the servers and is not counted. After a multiple of four,
    /// each set was in every place of a round.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    #[command(flatten)]
    pub stack: BenchStackSettings,
    /// Output format of the result.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
    #[command(flatten)]
    pub services: ServiceSettings,
}

#[derive(Clone, Debug, Args)]
pub struct LatencyBenchSettings {
    /// Orders per second that our producer sends to each sink, and that both producers send.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate: u32,
    /// Measured time of each sink and producer, after a warm-up of --warm-up.
    #[arg(long, default_value = "60s", value_parser = positive_duration)]
    pub duration: Duration,
    /// Each sink and producer first gets orders at the same rate for this long, which are not measured.
    #[arg(long, default_value = "10s", value_parser = positive_duration)]
    pub warm_up: Duration,
    /// Measured rounds; one more round before them, of at most 20 s each, warms up brokers and JVMs and is not counted.
    /// After a multiple of six, each was in every place of a round.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Folder of the scripts that install and start the other sinks.
    #[arg(long, default_value = "benches/peers", value_name = "PATH")]
    pub peers: PathBuf,
    #[command(flatten)]
    pub stack: BenchStackSettings,
    /// Output format of the result.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
    #[command(flatten)]
    pub services: ServiceSettings,
}

/// The stack of the services that a bench uses.
#[derive(Clone, Debug, Args)]
pub struct BenchStackSettings {
    /// Script that runs Kafka's own tools.
    #[arg(long, default_value = "deploy/stack", value_name = "PATH")]
    pub stack_script: PathBuf,
    /// Stack on which the script runs them, and of whose servers the CPU time is measured. When it runs, the brokers must
    /// be its own; the database must be too.
    #[arg(long, env = "ORDERFLOW_STACK", default_value = "main", value_name = "NAME")]
    pub stack: String,
}

impl BenchStackSettings {
    /// A command that runs one of Kafka's tools; arguments follow.
    pub fn kafka_tool(&self, name: &str) -> std::process::Command {
        let mut tool = std::process::Command::new(&self.stack_script);
        tool.args(["--name", &self.stack, "kafka-tool", name]);
        tool
    }
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
    #[arg(long, default_value_t = 8_000_000, value_parser = clap::value_parser!(u64).range(100_000..=1_000_000_000))]
    pub orders: u64,
    /// Measured rounds; one more round before them warms up the brokers and is not counted. After a multiple of four,
    /// each program was in every place of a round.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    #[command(flatten)]
    pub stack: BenchStackSettings,
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
