//! Shows a run while it goes on.
//!
//! [`model`] is what a run reports. On a terminal, [`live`] adds it up to a [`state`] and draws that as a [`screen`] on
//! the [`terminal`]; [`keys`] stop the run, and the [`logs`] of `loadtest` are among the events. Elsewhere, [`lines`]
//! logs the state every few seconds. [`start`] decides which.

mod figures;
mod keys;
mod lines;
mod live;
mod logs;
pub mod model;
mod schedule;
pub mod screen;
mod start;
pub mod state;
mod terminal;
#[cfg(test)]
mod tests;

pub use self::{
    model::{Observation, Observations, Outline, ViewMode, observations},
    start::View,
};
