//! `report.json`. Times are seconds after the first due time, latencies milliseconds.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use orderdb::audit::report::AuditReport;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::{latency::LatencySummary, ledger::RunSummary, requirement::RequirementResult};

use crate::fault::FaultRecord;

/// Version of the format; it changes when a field is renamed or removed.
pub const VERSION: u32 = 1;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RunReport {
    pub version: u32,
    /// Id of the run, which names its folder.
    pub run_id: String,
    pub scenario: ScenarioSummary,
    /// The first due time: second 0 of all others.
    pub started_at: DateTime<Utc>,
    pub ended_at: DateTime<Utc>,
    /// Whether the run was stopped before its end. Its figures are those until then.
    pub interrupted: bool,
    pub verdict: RunVerdict,
    pub requirements: Vec<RequirementResult>,
    pub counts: RunCounts,
    /// `sent`, `ack`, `stored`, and the stages of the consumer, over the measured phases.
    pub latencies: Vec<StageLatencies>,
    pub phases: Vec<PhaseFigures>,
    pub timeline: Timeline,
    pub faults: Vec<FaultRecord>,
    pub events: Vec<Event>,
    /// Summaries of the producers, a shard each.
    pub producers: Vec<RunSummary>,
    /// `None` when the run was interrupted before the audit.
    pub audit: Option<AuditReport>,
    pub processes: Vec<ProcessFigures>,
    pub machine: Machine,
    /// Versions of the programs and servers by name.
    pub versions: BTreeMap<String, String>,
}

impl RunReport {
    /// Seconds from the first due time to `at`.
    pub fn seconds_of(&self, at: DateTime<Utc>) -> f64 {
        (at - self.started_at).as_seconds_f64()
    }
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ScenarioSummary {
    pub name: String,
    pub description: String,
    pub seed: u64,
    /// The file after all overrides, as TOML.
    pub text: String,
}

/// Whether the figures may be believed, and whether they are good.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RunVerdict {
    /// Whether the run is complete, its counts balance, and each requirement is met.
    pub valid: bool,
    /// One sentence, such as `60,000 orders acknowledged, all stored once; stored p99 38 ms`.
    pub sentence: String,
    /// Why it is not valid, a sentence each.
    pub reasons: Vec<String>,
}

/// Orders of all producers, with those of phases that are not measured.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct RunCounts {
    pub scheduled: u64,
    pub skipped: u64,
    pub acknowledged: u64,
    pub failed: u64,
    pub unknown: u64,
    pub stored: u64,
    pub duplicates: u64,
    pub dead_lettered: u64,
    pub missing: u64,
    pub altered: u64,
    /// Orders that are in the table more than once; the primary key keeps it at 0.
    pub stored_twice: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StageLatencies {
    pub stage: String,
    #[serde(flatten)]
    pub summary: LatencySummary,
    /// Points of the whole distribution: quantile (0 to 1) and milliseconds, ascending.
    pub distribution: Vec<(f64, f64)>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PhaseFigures {
    pub name: String,
    pub start_seconds: f64,
    pub end_seconds: f64,
    pub measured: bool,
    /// Orders per second, averages of the phase.
    pub asked_rate: f64,
    pub acknowledged_rate: f64,
    pub stored_rate: f64,
    /// `sent`, `ack`, `stored` by their names.
    pub latencies: BTreeMap<String, LatencySummary>,
}

/// Values at the same times, `None` where nothing was measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Timeline {
    pub seconds: Vec<f64>,
    pub series: Vec<Series>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Series {
    pub chart: Chart,
    /// Such as `acknowledged`, `stored p99`, `consumer-1`.
    pub name: String,
    /// As long as `seconds` of the timeline.
    pub values: Vec<Option<f64>>,
}

/// The chart of a series, which has its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Chart {
    /// Orders per second: asked, sent, acknowledged, stored.
    Rate,
    /// Changes of orders per second: sent, acknowledged, stored.
    ChangeRate,
    /// Milliseconds.
    Latency,
    /// Records, by partition.
    PartitionLag,
    /// Records, by consumer.
    ConsumerLag,
    /// Partitions assigned, by consumer.
    Assignment,
    /// Rows.
    BatchRows,
    /// 0 to 1.
    HitRate,
    /// Cores.
    Cpu,
    /// Bytes.
    Memory,
    /// Number.
    OpenFiles,
}

/// A program that started or ended, a fault, a failure.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    pub seconds: f64,
    pub text: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ProcessFigures {
    pub name: String,
    /// Average of the measured phases, in cores.
    pub cpu_cores: f64,
    pub max_memory_bytes: u64,
    pub max_open_files: Option<u64>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    pub memory_bytes: u64,
    pub system: String,
}
