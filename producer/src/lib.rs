//! Emits orders at exactly the rate asked.
//!
//! Users and products are drawn from Redis ahead of need ([`sample`]), made into orders ([`generate`]), some of them wrong
//! on purpose ([`flaw`]), and into records ([`encode`]), sent when the schedule says that they are due ([`pace`], [`publish`]) to the partition whose turn it
//! is ([`partition`]) and counted when the brokers acknowledge them ([`deliver`]). What was acknowledged goes into the run's
//! ledger each second ([`record`]); [`progress`] shows the run, [`report`] sums it up.

pub mod client;
pub mod deliver;
pub mod encode;
pub mod flaw;
pub mod generate;
pub mod metrics;
pub mod pace;
pub mod partition;
pub mod progress;
pub mod publish;
pub mod record;
pub mod report;
pub mod sample;
pub mod settings;
pub mod statistics;
