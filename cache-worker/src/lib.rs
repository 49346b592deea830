//! Keeps 1,000 users and 1,000 products in Redis, so that nobody else scans the tables.
//!
//! A round takes its [`turn`], [`select`]s the rows that are due, [`swap`]s them into Redis, and marks them in the same
//! transaction that locked them ([`round`]); [`schedule`] runs a round whenever one is due, fills a Redis that lost its rows,
//! and survives what dies meanwhile, which is in its [`health`]; a [`report`] tells of each round. [`freshness`] is how far
//! the tables have come round, for metrics and for [`status`]; [`reset`] begins anew.

pub mod cache_monitor;
pub mod cached_row;
pub mod freshness;
pub mod health;
pub mod mark;
pub mod metrics;
pub mod quota;
pub mod refill;
pub mod reset;
pub mod round;
pub mod round_lock;
pub mod round_report;
pub mod schedule;
pub mod select;
pub mod settings;
pub mod status;
pub mod swap;
