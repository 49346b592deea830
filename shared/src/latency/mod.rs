//! Latencies: recorded in histograms, appended to a log every second, merged from the logs of all programs.
//!
//! Percentiles come from merged histograms only. The average of two percentiles is not a percentile.

mod histogram;
mod intervals;
mod log;
mod series;

pub use histogram::{Latencies, LatencySummary, MAX_LATENCY};
pub use intervals::{Interval, IntervalReader};
pub use log::{LatencyLog, merge_logs, until_interval_end};
pub use series::{DUE_TO_COMMIT, Stage, change_due_to_commit, change_series, due_to_commit, run_series};
