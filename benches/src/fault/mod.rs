//! Faults: what they are, how they begin and how they are undone.

mod kind;
mod model;

pub use kind::FaultKind;
pub use model::{Fault, FaultRecord, Recovery, Target};
