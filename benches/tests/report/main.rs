//! The report of a load test: its published schema, its page, and the page in a browser.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod sample;
mod schema;
