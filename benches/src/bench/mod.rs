//! Benches: a program of orderflow and other software in one run, on the same machine and the same services. Only the
//! ratios are meaningful, because the speed of the machine varies from run to run.
//!
//! Each bench works in a [`environment::BenchEnvironment`] or topics of its own: [`producer`] compares [`bare_loop`]
//! and Kafka's perf-test with the producer, [`sink`] compares sinks that read a [`filled_topic`], [`latency`] compares
//! both at a steady rate, [`cache`] compares lookups, [`connections`] the ways to the database, [`indexes`] the
//! indexes of the table. All of them print with [`report`].

pub mod bare_loop;
pub mod cache;
mod compiler;
mod connect;
pub mod connections;
mod connector;
pub mod contest;
mod cpu;
pub mod encoded_order;
pub mod environment;
pub mod filled_topic;
pub mod indexes;
pub mod latency;
mod peers;
mod plaintext;
pub mod producer;
mod progress;
pub mod report;
mod same_cluster;
pub mod sink;
mod timeouts;
