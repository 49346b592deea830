//! Records a run while it lasts: the [`recorder`] saves the outcome of each order in the run's [`ledger`] every second,
//! and updates the metrics and the [`live_stats`]. [`client_stats`] exports librdkafka's own statistics.

pub mod client_stats;
pub mod ledger;
pub mod live_stats;
pub mod recorder;
