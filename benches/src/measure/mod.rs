//! What is measured each second of a run, and the figures that follow from it.
//!
//! The [`Sampler`] reads the pages `/metrics` of the programs, the offsets of the topic, the processes of programs and
//! servers, and the latency logs, into a [`Sample`] a second. After the run, its [`Schedule`], its samples and its
//! [`RunLatencies`] are made into the [`timeline`] and the figures of the report.

mod counters;
mod figures;
mod growth;
mod live_latencies;
mod machine;
mod model;
mod offsets;
mod page;
mod processes;
mod programs;
mod rates;
mod recovery;
mod run_latencies;
mod sample;
mod sampler;
mod schedule;
mod servers;
mod stages;
mod stop_signal;
mod timeline;
mod versions;

pub use figures::{longest_recovery, max_lag, phases, processes, total_lag};
pub use growth::{Growth, Resource, growth};
pub use machine::machine;
pub use model::{LatencyPoint, PartitionLag, ProcessKind, ProcessSample, Sample};
pub use offsets::LagSource;
pub use processes::{cpu_seconds, cpu_seconds_with_children};
pub use programs::SampledProgram;
pub use recovery::recoveries;
pub use run_latencies::RunLatencies;
pub use sampler::{Sampler, SamplerSettings};
pub use schedule::{PhaseTime, Schedule};
pub use servers::{servers, stack_folder};
pub use stages::{ACK, RunTags, SENT, STORED};
pub use timeline::timeline;
pub use versions::versions;
