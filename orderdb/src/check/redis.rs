//! Redis: the connection, and the cache that the producer samples.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use shared::cache::{CacheSettings, Contents, contents};

use super::finding::Findings;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(8);
/// A cache-worker refreshes the cache every 50 s by default.
const MAX_AGE: TimeDelta = TimeDelta::minutes(5);

pub async fn check(cache: &CacheSettings) -> Findings {
    let mut findings = Findings::about("Redis");
    let mut connection = match cache.connect(CONNECT_TIMEOUT).await {
        Ok(connection) => connection,
        Err(error) => {
            findings.failed("connection", format!("{error:#}"));
            return findings;
        }
    };
    let keys = cache.keys();
    match contents(&mut connection, &keys).await {
        Ok(found) => {
            findings.ok("connection", cache.address());
            check_contents(found, &keys.empty(), &mut findings);
        }
        Err(error) => findings.failed("cache", format!("the keys can't be read: {error}")),
    }
    findings
}

fn check_contents(found: Contents, empty: &str, findings: &mut Findings) {
    let Contents { users, products, refreshed_at } = found;
    let rows = format!("{users} users, {products} products");
    match refreshed_at.map(|time| Utc::now() - time) {
        _ if users == 0 || products == 0 => findings.failed("cache", empty),
        Some(age) if age <= MAX_AGE => findings.ok("cache", format!("{rows}, {} s old", age.num_seconds().max(0))),
        Some(age) => {
            findings.warning("cache", format!("{rows}, {} s old: is a cache-worker running?", age.num_seconds()));
        }
        None => findings.warning("cache", format!("{rows} of unknown age: is a cache-worker running?")),
    }
}
