//! The cache and the database compared, while a [`background_producer`] runs: [`lookups`] measures the latency of a
//! lookup in each of them, [`statement_counter`] counts the statements that the [`cache_worker`] and the lookups send.
//! [`measure`] does this in order and prints the [`result`].

mod background_producer;
mod cache_worker;
mod lookups;
mod measure;
mod result;
mod statement_counter;

pub use self::measure::bench_cache;
