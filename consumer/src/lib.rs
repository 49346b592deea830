//! A sink from Kafka to PostgreSQL that stores each order exactly once.
//!
//! Records travel in one direction: the [`source`] reads them as a member of a consumer group; the [`pipeline`]
//! decodes, enriches and commits them; the [`sink`] inserts their rows into the table, and the [`dlq`] takes those that
//! can't become a row. After that their offsets are stored, never before (invariant 4 of ARCHITECTURE.md). The
//! [`model`] is what passes between them. A folder imports only folders that come after it. [`app`] starts all of them
//! and stops them again.

pub mod app;
pub mod dlq;
pub mod health;
pub mod metrics;
pub mod model;
pub mod pipeline;
pub mod retry_scope;
pub mod settings;
pub mod sink;
pub mod source;
#[cfg(test)]
mod tests;
