//! Shows a run while it goes on. [`model`] is what a run reports.

pub mod model;

pub use self::model::{Observation, Observations, Outline, ViewMode, observations};
