//! Requirements on the figures of a run, such as `ack p99 < 50ms` or `stall < 2s`: parsed from the command line, and
//! checked against what was measured. A requirement names a [`Metric`], for a latency its [`Percentile`], and a limit.

mod error;
mod metric;
mod model;
mod parse;
mod percentile;

pub use error::{InvalidRequirement, Listed};
pub use metric::{MeasuredBy, Metric};
pub use model::{Requirement, RequirementResult};
pub use percentile::Percentile;
