//! What becomes of orders after they were placed.
//!
//! A [`Lifecycle`] is read from a file ([`read`]) or is the [`default_text`]. A [`Plans`] draws the [`History`] of each
//! order from it: a function of the seed, the number of the order and the status that it was placed with.
//! [`PendingChanges`] are those whose order, or change before, was acknowledged; [`Histories`] adds them when that
//! happens.

mod delay;
mod entry;
mod format;
mod histories;
mod model;
mod pending;
mod plan;
mod problem;

pub use format::{default_text, read};
pub use histories::{Acknowledged, Histories};
pub use model::{Branch, Delay, Lifecycle, MAX_HISTORY};
pub use pending::{MAX_PENDING, OrderChange, PendingChange, PendingChanges};
pub use plan::{History, PlannedChange, Plans};
pub use problem::LifecycleError;
