//! Keeps users and products in Redis, 1,000 of each by default, so that no other program scans the tables.
//!
//! A [`CacheWorker`](schedule::CacheWorker) checks Redis several times per second ([`cache_monitor`]) and runs a
//! [`round`] when one is due. A round is one transaction. It acquires the [`round_lock`], [`select`]s and locks the
//! rows that the aging rule ([`quota`]) chooses, [`swap`]s them into Redis, and sets their `last_cached_at` ([`mark`]).
//! If Redis lost its rows, a [`refill`] restores those cached last. Each round is logged and counted by
//! [`round_report`].
//!
//! `cache-worker status` shows the last round and the [`freshness`] of the tables; `cache-worker reset` starts the
//! aging again.

pub mod settings;

pub mod schedule;

pub mod cache_monitor;
pub mod earlier_keys;
pub mod health;

pub mod round;
pub mod round_lock;

pub mod cached_row;
pub mod quota;
pub mod select;

pub mod mark;
pub mod swap;

pub mod refill;

pub mod freshness;
pub mod metrics;
pub mod round_report;

pub mod reset;
pub mod status;
