//! The report of a load test: its published schema, its page, and the page in a browser.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod browser;
mod command;
mod page;
mod sample;
mod schema;
mod summary;
mod tab;
