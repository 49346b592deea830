//! Runs the programs of orderflow as their users would, breaks them on purpose, and proves what came of it.
//!
//! [`programs`] starts and ends them, [`metrics`] reads what they tell; [`pipeline`] runs the whole line once;
//! [`bench`] measures our programs beside others.

pub mod bench;
pub mod metrics;
pub mod pipeline;
pub mod programs;
pub mod settings;
