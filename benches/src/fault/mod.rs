//! Faults: what they are, how they begin and how they are undone.
//!
//! The [`preparation`] of a run starts what its faults need: [`links`] through [`toxiproxy`], [`clock`]s, a small
//! [`disk`]. During the run, the [`injector`] begins and ends them through the [`breaker`], which breaks servers by the
//! script of their [`stack`], programs by their registry, and tables by a [`table_lock`]. It reports each change as an
//! [`event`].

pub mod breaker;
pub mod clock;
pub mod disk;
pub mod event;
pub mod in_force;
pub mod injector;
mod kind;
pub mod links;
mod model;
pub mod preparation;
pub mod stack;
pub mod table_lock;
pub mod toxiproxy;

pub use kind::FaultKind;
pub use model::{Fault, FaultRecord, Recovery, Target};
