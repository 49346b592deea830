//! The producer, `kafka-producer-perf-test` and a bare librdkafka loop, with the same number of bytes per record (key,
//! header and value together), `acks=all`, idempotence, replication 3 and lz4 for each.
//!
//! Each [`contestant`] is a process with a topic of its own. It is [`timed`] from outside, in the same way for all: by
//! the ends of the partitions, and by the CPU time of its process and of the brokers. [`rounds`] runs them in turns
//! and prints the [`result`].

mod contestant;
mod log_size;
pub mod perf_test;
mod result;
mod rounds;
mod timed;

pub use rounds::bench_producer;
