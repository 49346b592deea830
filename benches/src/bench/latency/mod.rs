//! Latency at a steady rate, beside that of peers.
//!
//! Sinks: the producer sends open loop, at times that do not depend on any answer, to a topic of each [`contestant`]. The
//! latency of an order is from its due time, which is in its id, to the commit of its row by the clock of the server
//! ([`commit_times`]). Producers: from due to acknowledged, of the producer and of perf-test at the same rate.
//!
//! [`paced`] runs either producer and reads the CPU time of its measured part; [`sinks`] starts and stops the sinks;
//! [`rounds`] runs all in turns and prints the [`result`].

mod commit_times;
mod contestant;
mod paced;
mod percentiles;
mod result;
mod rounds;
mod sinks;
mod stages;

pub use rounds::bench_latency;
