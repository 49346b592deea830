//! How times are printed.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// Such as `2m 5s ago`.
pub fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    format!("{} ago", between(at, now))
}

/// In whole seconds.
pub fn between(from: DateTime<Utc>, to: DateTime<Utc>) -> String {
    seconds((to - from).num_seconds())
}

/// A negative number is none: clocks differ.
pub fn seconds(count: i64) -> String {
    humantime::format_duration(Duration::from_secs(count.max(0).unsigned_abs())).to_string()
}

pub fn utc(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}
