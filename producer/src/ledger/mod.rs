//! The run's ledger: [`open_ledger`] creates it, or [`reopen_ledger`] continues it after the [`earlier`] orders
//! and [`earlier_changes`], the
//! [`recorder`] saves the outcome of each order in it every second, and updates the metrics and the [`live_stats`].
//! [`client_stats`] exports librdkafka's own statistics.

pub mod client_stats;
pub mod earlier;
pub mod earlier_changes;
pub mod live_changes;
pub mod live_stats;
pub mod open_ledger;
pub mod recorder;
pub mod reopen_ledger;
