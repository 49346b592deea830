//! What is measured each second of a run.

mod model;

pub use model::{LatencyPoint, PartitionLag, ProcessKind, ProcessSample, Sample};
