//! A sink from Kafka to PostgreSQL that stores each order exactly once.
//!
//! One thread polls as a member of the [`group`] ([`read`]) and hands each [`record`], with the lease of its partition ([`assignment`]), to the partition's
//! writer ([`write`]). A writer takes all that is waiting, decodes it ([`decode`]) and fills in what the order leaves open
//! ([`enrich`]). Then it is settled ([`settle`]): rows are stored ([`store`]) in the [`table`] by one statement a batch
//! ([`insert`]), what can't become a row goes to the dead-letter topic ([`dead_letter`]), and after that the offsets are
//! stored, never before (invariant 4). [`account`] keeps count, so that nothing is lost unnoticed.

pub mod account;
pub mod assignment;
pub mod breaker;
pub mod dead_letter;
pub mod decode;
pub mod dlq;
pub mod enrich;
pub mod flood;
pub mod gap;
pub mod group;
pub mod health;
pub mod insert;
pub mod lag;
pub mod metrics;
pub mod outage;
pub mod read;
pub mod record;
pub mod settings;
pub mod settle;
pub mod statistics;
pub mod store;
pub mod table;
pub mod write;
