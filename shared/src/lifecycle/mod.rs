//! The life of an order after it was placed: which status follows which, and the event of each change.
//!
//! A change has a sequence number, from 1; the status that the order was placed with is number 0 of its history. The
//! [`OrderStatus`] knows the transitions, an [`OrderStatusChanged`] is one of them, and a [`ChangeNumber`] names it in
//! the ledger of a run.

mod change_number;
mod status;
mod status_changed;

pub use change_number::ChangeNumber;
pub use status::{MAX_CHANGES, OrderStatus, UnknownStatus};
pub use status_changed::{MAX_REASON_CHARS, OrderStatusChanged};
