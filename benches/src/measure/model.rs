use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

/// One second of a run. Counts are of the whole run until then; rates follow from their differences.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// When it was taken.
    pub at: DateTime<Utc>,
    /// Seconds after the first due time; negative before it.
    pub seconds: f64,
    /// Orders per second that are due by the schedule.
    pub asked_rate: f64,
    /// Orders enqueued by the producers until the last whole second of the system clock, at which they count.
    pub sent: u64,
    /// As `sent`.
    pub acknowledged: u64,
    /// Changes of orders enqueued by the producers until then, as `sent`.
    pub changes_sent: u64,
    /// As `changes_sent`.
    pub changes_acknowledged: u64,
    /// Changes in the history. What a killed consumer wrote after its counters were last read is missing.
    pub changes_stored: u64,
    /// Orders enqueued and not acknowledged.
    pub in_flight: u64,
    /// Records read by the consumers.
    pub consumed: u64,
    /// Rows inserted. What a killed consumer inserted after its counters were last read is missing, at most those of a
    /// second.
    pub stored: u64,
    pub duplicates: u64,
    pub dead_lettered: u64,
    /// Rows of all batches divided by the number of batches, in this second. `None` without a batch.
    pub rows_per_batch: Option<f64>,
    /// Share of the lookups of users and products that the consumers' own cache answered in this second, 0 to 1.
    pub lookup_hit_rate: Option<f64>,
    /// Age of the rows in Redis in seconds, as the producers see it.
    pub cache_age_seconds: Option<f64>,
    /// By partition; one whose leader does not answer is left out.
    pub lag: Vec<PartitionLag>,
    /// Number of partitions by consumer, those included whose leader does not answer.
    pub assigned: BTreeMap<String, u32>,
    /// Latencies by stage that were recorded in the last whole second of the system clock.
    pub latencies: Vec<LatencyPoint>,
    /// Latencies of the last 10 s by stage, from merged histograms.
    pub recent_latencies: Vec<LatencyPoint>,
    /// Servers, programs and the load test itself.
    pub processes: Vec<ProcessSample>,
}

/// The lag of one partition and the consumer that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionLag {
    pub partition: i32,
    pub records: u64,
    /// Such as `consumer-1`; empty while no consumer has the partition.
    pub consumer: String,
}

/// Latencies of one stage in one second, or in the last 10, in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct LatencyPoint {
    /// `sent`, `ack`, `stored`, or a stage of the consumer such as `insert`.
    pub stage: String,
    pub count: u64,
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
}

/// What kind of process it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessKind {
    Broker,
    Redis,
    Postgres,
    Producer,
    Consumer,
    CacheWorker,
    /// `loadtest` itself.
    Loadtest,
}

/// A process and its children, such as the backends of PostgreSQL.
#[derive(Clone, Debug)]
pub struct ProcessSample {
    /// Such as `kafka-1`, `postgres`, `consumer-2`.
    pub name: String,
    pub kind: ProcessKind,
    /// False while it is killed or stopped.
    pub is_running: bool,
    /// Cores used in this second.
    pub cpu_cores: f64,
    /// Resident memory in bytes; of PostgreSQL without the shared buffers counted twice (PSS or RSS − shared).
    pub memory_bytes: u64,
    pub open_files: Option<u64>,
}
