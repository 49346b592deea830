//! Sends the orders: the [`publisher`] passes each record to the Kafka [`client`] at its due time, for the partition
//! that the [`partitioner`] chooses; the [`partition_queue`] keeps it while the client has orders of the partition
//! ([`client_orders`]). A signal of librdkafka ends its waits when a delivery report arrives. [`delivery`] matches the
//! delivery reports with the orders in flight, counts them in a [`tally`], and exports the [`spans`] of those that are
//! sampled; [`stall`] finds the longest time without an acknowledgement,
//! and [`silence`] the current one, after which a run with changes gives up.

mod change_delivery;
mod change_publisher;
pub mod change_tally;
pub mod client;
pub mod client_orders;
pub mod delivery;
pub mod delivery_report;
pub mod partition_queue;
pub mod partitioner;
pub mod publisher;
mod report_signal;
pub mod silence;
pub mod spans;
pub mod stall;
pub mod tally;
