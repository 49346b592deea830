//! The consumer and other sinks, on the same orders into the same table with both of its foreign keys.
//!
//! [`consumer`] and [`python`] read the orders topic and enrich. [`debezium`] and [`copy`] get the enriched rows,
//! [`stored_order`]; where orders change, Debezium gets a row for each event, [`flattened`]. [`fill_rate`] measures
//! each [`contestant`] in the table; [`rounds`] runs them in turns and prints the [`result`].

pub mod consumer;
mod contestant;
mod copy;
mod debezium;
pub mod fill_rate;
mod flattened;
pub mod python;
mod result;
mod rounds;
mod stored_order;

pub use self::rounds::bench_sink;
