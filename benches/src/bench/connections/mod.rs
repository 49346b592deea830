//! What TLS and a pooler cost: the same work through each [`path`] to the database of one stack.
//!
//! [`opening`] times new connections, [`lookups`] single rows; the consumer stores orders as in
//! [`sink`](super::sink). [`rounds`] runs them in turns and prints the [`result`].

mod lookups;
mod opening;
mod path;
mod result;
mod rounds;

pub use self::rounds::bench_connections;
