//! Compares what Redis contains with what the last round put there, and watches the age of the cache.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use shared::{cache::Contents, health::Health};

use crate::{health::CacheIssue, metrics, round::RoundOutcome, settings::AgingSettings};

pub struct CacheMonitor {
    aging: AgingSettings,
    expected: Expected,
    /// When the cache was last refreshed by any instance, as stored in Redis.
    refreshed_at: Option<DateTime<Utc>>,
    /// When this instance first read that time. The age is measured from here, since clocks of other hosts may differ.
    seen_at: Instant,
}

/// The tables whose rows must be in Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Expected {
    users: bool,
    products: bool,
}

impl Expected {
    const BOTH: Self = Self { users: true, products: true };
    const NONE: Self = Self { users: false, products: false };
}

impl CacheMonitor {
    /// A monitor that expects users and products.
    pub fn new(aging: AgingSettings) -> Self {
        Self { aging, expected: Expected::BOTH, refreshed_at: None, seen_at: Instant::now() }
    }

    /// Exports `contents` as metrics and reports an incomplete or stale cache.
    pub fn observe(&mut self, contents: Contents, health: &Health<CacheIssue>) {
        let Contents { users, products, refreshed_at } = contents;
        for (table, rows) in [("users", users), ("products", products)] {
            ::metrics::gauge!(metrics::CACHED_ROWS, "table" => table).set(rows as f64);
        }
        if let Some(at) = refreshed_at {
            ::metrics::gauge!(metrics::REFRESHED_AT).set(at.timestamp_millis() as f64 / 1_000.0);
        }
        if users > 0 && products > 0 {
            health.resolve(CacheIssue::CacheIncomplete);
        } else {
            let message = format!("cache: incomplete, Redis has {users} users and {products} products");
            health.report(CacheIssue::CacheIncomplete, message);
        }
        self.observe_age(refreshed_at, health);
    }

    fn observe_age(&mut self, refreshed_at: Option<DateTime<Utc>>, health: &Health<CacheIssue>) {
        if self.refreshed_at != refreshed_at {
            (self.refreshed_at, self.seen_at) = (refreshed_at, Instant::now());
            health.resolve(CacheIssue::CacheStale);
        }
        let age = self.seen_at.elapsed();
        if age > self.aging.interval * 2 + self.aging.round_timeout() {
            let age = humantime::format_duration(Duration::from_secs(age.as_secs()));
            health.report(CacheIssue::CacheStale, format!("cache: stale, no instance has refreshed it for {age}"));
        }
    }

    /// Whether Redis lost rows that the last round or refill put there.
    pub fn rows_are_missing(&self, contents: Contents) -> bool {
        (self.expected.users && contents.users == 0) || (self.expected.products && contents.products == 0)
    }

    /// A round or a refill put this many rows into the cache.
    pub fn expect_rows(&mut self, users: usize, products: usize) {
        self.expected = Expected { users: users > 0, products: products > 0 };
    }

    pub fn expect_result_of(&mut self, round: RoundOutcome) {
        match round {
            RoundOutcome::Cached(cached) => self.expect_rows(cached.users.total(), cached.products.total()),
            RoundOutcome::TablesEmpty => self.expected = Expected::NONE,
            // Another instance had the last round and found rows. If they are missing, the refill finds out for which
            // table.
            RoundOutcome::NotDue(_) if self.expected == Expected::NONE => self.expected = Expected::BOTH,
            RoundOutcome::NotDue(_) | RoundOutcome::Busy | RoundOutcome::StaleEpoch => {}
        }
    }
}
