//! The cache and the database compared, while a [`background_producer`] runs: [`lookups`] times how long a random user
//! takes from either, [`statement_counter`] counts the statements that the [`cache_worker`] and the lookups send.
//! [`measure`] does this in order, [`result`] is what it prints.

mod background_producer;
mod cache_worker;
mod lookups;
mod measure;
mod result;
mod statement_counter;

pub use self::measure::bench_cache;
