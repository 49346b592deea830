//! From records to committed offsets: a [`worker`] takes all records that wait for it, [`decode`]s and [`enrich`]es
//! them, and [`commit`]s the [`prepared`] batch; its [`stored_records`] are then in the tables. [`accounting`] counts
//! every record, [`latency`] measures every order and change, and [`spans`] trace those that the producer has sampled.

pub mod accounting;
mod cached_row;
pub mod commit;
pub mod decode;
pub mod enrich;
pub mod latency;
mod lookup_cache;
pub mod prepared;
pub mod spans;
mod stored_records;
pub mod worker;
