//! Scenarios: what a load test sends, what it breaks meanwhile, and what must hold at the end.

mod model;

pub use model::{Arrival, Chaos, Load, Phase, Scenario, TimedFault};
