//! The commands of `orderdb` and the connections of all programs, on real servers. One program for all tests, since
//! linking one for each file would take longer than the tests themselves.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod audit;
mod audited_run;
mod cache_first_reads;
mod catalog_file;
mod check;
mod connections;
mod debug;
mod execute;
mod guard;
mod indexes;
mod list;
mod migrations;
mod named_databases;
mod pooler;
mod program;
mod pull;
mod reset;
mod rows_by_hand;
mod schema_and_seed;
mod short_lived_passwords;
mod status;
mod tls;
mod validate;
mod waits_and_stops;
