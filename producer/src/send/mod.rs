//! Sends the orders: the [`publisher`] passes each record to the Kafka [`client`] at its due time, for the partition
//! that the [`partitioner`] chooses. [`delivery`] matches the delivery reports with the orders in flight and counts
//! them in a [`tally`].

pub mod client;
pub mod delivery;
pub mod partitioner;
pub mod publisher;
pub mod tally;
