//! Scenarios: what a load test sends, what it breaks meanwhile, and what must hold at the end.
//!
//! [`load`] reads a TOML file, or a scenario of the [library](library()), with the values of the command line that have
//! priority, checks all of it, and draws the faults of `[chaos]`.

mod chaos;
mod consumers;
mod error;
mod format;
mod interval;
mod library;
mod model;
mod overview;
mod read;
mod schedule;
#[cfg(test)]
mod tests;

pub use error::{ScenarioError, Source};
pub use format::Overrides;
pub use interval::Subject;
pub use model::{Arrival, Chaos, Lifecycle, Load, Phase, Scenario, TimedFault};
pub use overview::{library, print_library, print_scenario, text};
pub use read::{load, parse};
