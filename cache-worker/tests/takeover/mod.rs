//! Instances that run at the same time on one database, and lose their connections.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use cache_worker::{health::CacheIssue, round_lock::ADVISORY_LOCK, schedule::CacheWorker, settings::AgingSettings};
use redis::AsyncCommands;
use shared::{cache::CacheSettings, database::DatabaseSettings, health::Health};
use testbed::{Proxy, Testbed, eventually};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{MARKED, SIZE, TIMEOUT, count};

struct Worker {
    health: Arc<Health<CacheIssue>>,
    _stop: DropGuard,
}

fn start(interval: Duration, cache: CacheSettings, database: DatabaseSettings) -> Worker {
    let aging = AgingSettings { interval, size: SIZE as u32 };
    let mut worker = CacheWorker::new(aging, cache, database).unwrap();
    let (health, stop) = (worker.health().clone(), CancellationToken::new());
    let stopped = stop.clone();
    tokio::spawn(async move { worker.run(stopped).await });
    Worker { health, _stop: stop.drop_guard() }
}

impl Worker {
    async fn becomes_ready(&self) {
        eventually("the instance is ready", TIMEOUT, async || self.health.status().ready().is_ok()).await;
    }
}

/// The time of the last round in microseconds; 0 before the first one.
const LAST_ROUND: &str = "SELECT coalesce((extract(epoch FROM cached_at) * 1000000)::bigint, 0) FROM cache_rounds";

#[tokio::test]
async fn an_emptied_redis_is_full_again_within_two_seconds() {
    let bed = Testbed::new("emptied").await;
    let worker = start(Duration::from_secs(3_600), bed.cache.clone(), bed.database.clone());
    worker.becomes_ready().await;
    let (mut redis, keys) = (bed.redis().await, bed.keys());
    let round = count(&bed, LAST_ROUND).await;
    for _ in 0..3 {
        let () = redis.del(&[&keys.users, &keys.products, &keys.refreshed_at, &keys.epoch]).await.unwrap();
        let emptied = Instant::now();
        let full = async || redis.clone().hlen::<_, usize>(&keys.users).await.unwrap() == SIZE;
        eventually("the cache is full again", TIMEOUT, full).await;
        assert!(emptied.elapsed() < Duration::from_secs(2), "{:?}", emptied.elapsed());
    }
    assert_eq!(
        (count(&bed, LAST_ROUND).await, count(&bed, MARKED).await),
        (round, SIZE as i64),
        "no last_cached_at changed"
    );
}

#[tokio::test]
async fn an_instance_waits_for_redis_and_the_database_and_recovers_by_itself() {
    let bed = Testbed::new("not_there_yet").await;
    let (redis, database) = (bed.redis_proxy().await, bed.database_proxy().await);
    redis.stall();
    database.stall();
    let worker = start(Duration::from_secs(1), bed.cache_behind(&redis), bed.database_at(database.address));
    let reports = async |issue: &str| {
        let reported = async || worker.health.status().ready().is_err_and(|issues| issues.contains(issue));
        eventually(&format!("the instance reports {issue:?}"), TIMEOUT, reported).await;
    };
    reports("Redis: no answer from").await;
    redis.resume();
    reports("cache round: failed").await;
    database.resume();
    worker.becomes_ready().await;
    for (proxy, issue) in [(&redis, "Redis: no answer from"), (&database, "cache round: failed")] {
        proxy.stall();
        reports(issue).await;
        proxy.resume();
        worker.becomes_ready().await;
        let round = count(&bed, LAST_ROUND).await;
        eventually("rounds continue", TIMEOUT, async || count(&bed, LAST_ROUND).await > round).await;
    }
}

/// Breaks the network of an instance in the middle of its round, while it holds row locks, and expects a round of
/// another instance within an interval. Then restores the network, and expects the first instance to be ready again.
async fn takes_over(test: &str, break_network: impl Fn(&Proxy, &Proxy)) {
    let bed = Testbed::new(test).await;
    let interval = Duration::from_secs(8);
    let (redis, database) = (bed.redis_proxy().await, bed.database_proxy().await);
    let first = start(interval, bed.cache_behind(&redis), bed.database_at(database.address));
    first.becomes_ready().await;
    // Its next round waits for these rows. The network breaks before they are unlocked.
    let blocker = bed.sql().await;
    blocker.batch_execute("BEGIN; SELECT FROM users FOR UPDATE").await.unwrap();
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    eventually("the first is in its round", TIMEOUT, async || count(&bed, waits).await == 1).await;
    break_network(&redis, &database);
    blocker.batch_execute("ROLLBACK").await.unwrap();
    let (broken, round) = (Instant::now(), count(&bed, LAST_ROUND).await);
    let second = start(interval, bed.cache.clone(), bed.database.clone());
    eventually("the second has a round", TIMEOUT, async || count(&bed, LAST_ROUND).await > round).await;
    assert!(broken.elapsed() < interval, "after {:?}", broken.elapsed());
    second.becomes_ready().await;

    redis.resume();
    database.resume();
    first.becomes_ready().await;
    let next = count(&bed, LAST_ROUND).await;
    eventually("rounds continue", TIMEOUT, async || count(&bed, LAST_ROUND).await > next).await;
}

#[tokio::test]
async fn another_instance_takes_over_from_one_that_gets_no_answers_at_all() {
    let break_network = |redis: &Proxy, database: &Proxy| {
        redis.stall();
        database.stall();
    };
    takes_over("takeover", break_network).await;
}

#[tokio::test]
async fn another_instance_takes_over_from_one_that_gets_no_answers_from_the_database() {
    takes_over("takeover_silent", |_, database| database.stall()).await;
}

#[tokio::test]
async fn another_instance_takes_over_from_one_whose_connection_is_cut() {
    let break_network = |_: &Proxy, database: &Proxy| {
        database.stall();
        database.cut();
    };
    takes_over("takeover_cut", break_network).await;
}

/// One of the two runs the round that finds rows. The other one must become ready without a round of its own.
#[tokio::test]
async fn a_standby_that_found_empty_tables_is_ready_once_there_are_rows() {
    let bed = Testbed::new("empty_standby").await;
    let sql = bed.sql().await;
    sql.batch_execute("CREATE TABLE kept AS TABLE users; CREATE TABLE kept_products AS TABLE products").await.unwrap();
    sql.batch_execute("DELETE FROM users; DELETE FROM products").await.unwrap();
    let interval = Duration::from_secs(3);
    let workers = [(); 2].map(|()| start(interval, bed.cache.clone(), bed.database.clone()));
    for worker in &workers {
        let empty = async || worker.health.status().ready().is_err_and(|issues| issues.contains("are empty"));
        eventually("both report that the tables are empty", TIMEOUT, empty).await;
    }
    sql.batch_execute("INSERT INTO users TABLE kept; INSERT INTO products TABLE kept_products").await.unwrap();
    for worker in &workers {
        worker.becomes_ready().await;
    }
}

#[tokio::test]
async fn a_clock_set_back_does_not_delay_rounds() {
    let bed = Testbed::new("clock").await;
    let worker = start(Duration::from_secs(1), bed.cache.clone(), bed.database.clone());
    worker.becomes_ready().await;
    let ahead = "UPDATE cache_rounds SET cached_at = now() + interval '1 hour', due_at = now() + interval '1 hour'";
    // Between two rounds: one that has begun would overwrite these times.
    let between_rounds = format!("BEGIN; SELECT pg_advisory_xact_lock({ADVISORY_LOCK}); {ahead}; COMMIT");
    bed.sql().await.batch_execute(&between_rounds).await.unwrap();
    let round = count(&bed, LAST_ROUND).await;
    eventually("rounds continue", TIMEOUT, async || count(&bed, LAST_ROUND).await > round).await;
}
