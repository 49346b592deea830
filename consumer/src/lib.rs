//! A sink from Kafka to PostgreSQL that stores each order exactly once.
//!
//! Records move in one direction: the [`source`] reads them as a member of a consumer group; the [`pipeline`] decodes,
//! enriches and commits them; the [`sink`] inserts their rows into the table, and the [`dlq`] stores those that can't
//! become a row. After that their offsets are stored, never before (invariant 4 of ARCHITECTURE.md). The [`model`] has
//! the types that pass between these modules. A module imports only modules that come after it. [`app`] starts all
//! tasks and stops them.

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
