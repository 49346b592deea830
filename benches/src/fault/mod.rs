//! Faults: what they are, how they begin and how they are undone.

mod model;

pub use model::{Fault, FaultKind, FaultRecord, Recovery, Target};
