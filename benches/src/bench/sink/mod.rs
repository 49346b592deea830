//! The consumer and other sinks, on the same orders into the same table with both of its foreign keys.
//!
//! [`consumer`] and [`python_batch`] read the orders topic and enrich. [`debezium`] (with its [`connector`]) and
//! [`copy`] get the enriched rows, [`stored_order`]. [`fill_rate`] measures all of them in the table; [`rounds`] runs
//! them in order and prints the [`result`].

mod connector;
mod consumer;
mod copy;
mod debezium;
mod fill_rate;
mod python_batch;
mod result;
mod rounds;
mod stored_order;

pub use self::rounds::bench_sink;
