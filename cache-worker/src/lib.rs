//! Keeps 1,000 users and 1,000 products in Redis, so that nobody else scans the tables.
//!
//! Each round [`select`]s the rows that are due, [`swap`]s them into Redis, and marks them in the same transaction that
//! locked them ([`round`]); [`schedule`] runs a round at each interval and survives what dies meanwhile.

pub mod metrics;
pub mod round;
pub mod schedule;
pub mod select;
pub mod settings;
pub mod swap;
