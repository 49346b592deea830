//! Rounds on a real Redis and a real PostgreSQL.
#![allow(clippy::unwrap_used, reason = "a test fails where it can't continue")]

mod cluster;
mod commands;
mod concurrent_inserts;
mod fairness;
mod query_cost;
mod readers;
mod takeover;

use std::{collections::BTreeMap, time::Duration};

use cache_worker::{
    quota::RowCounts,
    refill::{RefillOutcome, refill},
    round::{CachedRound, RoundError, RoundOutcome, run_round},
    round_lock::{ADVISORY_LOCK, Trigger},
    settings::AgingSettings,
};
use redis::AsyncCommands;
use shared::catalog::User;
use testbed::{PRODUCTS, Testbed, USERS};

const SIZE: usize = 1_000;
const TIMEOUT: Duration = Duration::from_secs(30);
const AGING: AgingSettings = AgingSettings { interval: Duration::from_secs(50), size: SIZE as u32 };

async fn round_with(bed: &Testbed, trigger: Trigger) -> Result<RoundOutcome, RoundError> {
    let mut connection = bed.statements().await;
    run_round(&mut connection, &mut bed.redis().await, &bed.keys(), AGING, trigger).await
}

/// Runs a round, due or not.
async fn round(bed: &Testbed) -> Result<RoundOutcome, RoundError> {
    round_with(bed, Trigger::Always).await
}

async fn cached(bed: &Testbed) -> CachedRound {
    match round(bed).await.unwrap() {
        RoundOutcome::Cached(cached) => cached,
        other => panic!("{other:?}"),
    }
}

async fn refilled(bed: &Testbed) -> RefillOutcome {
    let mut connection = bed.statements().await;
    refill(&mut connection, &mut bed.redis().await, &bed.keys(), AGING).await.unwrap()
}

async fn count(bed: &Testbed, query: &str) -> i64 {
    bed.sql().await.query_one(query, &[]).await.unwrap().get(0)
}

const MARKED: &str = "SELECT count(*) FROM users WHERE last_cached_at IS NOT NULL";

#[tokio::test]
async fn a_round_marks_exactly_what_it_put_into_the_cache() {
    let bed = Testbed::new("round_marks").await;
    let first = cached(&bed).await;
    let all_new = RowCounts { new: SIZE, aged: 0 };
    assert_eq!((first.users, first.products), (all_new, all_new));

    let cached: BTreeMap<String, String> = bed.redis().await.hgetall(bed.keys().users).await.unwrap();
    let rows =
        bed.sql().await.query("SELECT user_id, region FROM users WHERE last_cached_at IS NOT NULL", &[]).await.unwrap();
    assert_eq!(rows.len(), cached.len());
    for row in rows {
        let user: User = serde_json::from_str(&cached[row.get::<_, &str>(0)]).unwrap();
        assert_eq!(user.region, row.get::<_, &str>(1));
    }
    let refreshed_at: String = bed.redis().await.get(bed.keys().refreshed_at).await.unwrap();
    assert!(chrono::DateTime::parse_from_rfc3339(&refreshed_at).is_ok(), "{refreshed_at}");
}

#[tokio::test]
async fn every_row_is_refreshed_and_aged_rows_get_half_of_the_cache() {
    let bed = Testbed::new("refreshed").await;
    // 1,200 rows: first 1,000 new ones, then the other 200 and the 800 that were cached longest ago.
    round(&bed).await.unwrap();
    let second = cached(&bed).await;
    assert_eq!((second.users.total(), second.users.new), (SIZE, USERS as usize - SIZE));
    assert_eq!((second.products.total(), second.products.new), (SIZE, PRODUCTS as usize - SIZE));
    assert_eq!(count(&bed, MARKED).await, USERS as i64);

    // Rows are added, and the rows cached longest ago are still refreshed.
    let oldest: i64 =
        count(&bed, "SELECT count(*) FROM users WHERE last_cached_at < (SELECT max(last_cached_at) FROM users)").await;
    assert_eq!(oldest, 200);
    bed.sql()
        .await
        .batch_execute("INSERT INTO users (user_id) SELECT 'N' || n FROM generate_series(1, 2000) n")
        .await
        .unwrap();
    assert_eq!(cached(&bed).await.users, RowCounts { new: SIZE / 2, aged: SIZE / 2 });
    let left = "SELECT count(*) FROM users u WHERE last_cached_at = (SELECT min(last_cached_at) FROM users)";
    assert_eq!(count(&bed, left).await, USERS as i64 - 500, "the 200 oldest and 300 of the next are refreshed");
}

#[tokio::test]
async fn a_stale_epoch_marks_nothing_and_the_next_round_takes_a_later_one() {
    let bed = Testbed::new("refused_swap").await;
    let ahead = i64::MAX / 2_048;
    let () = bed.redis().await.set(bed.keys().epoch, ahead).await.unwrap();
    assert_eq!(round(&bed).await.unwrap(), RoundOutcome::StaleEpoch);
    assert_eq!(count(&bed, MARKED).await, 0);
    assert!(!bed.redis().await.exists::<_, bool>(bed.keys().users).await.unwrap());
    cached(&bed).await;
    assert_eq!(bed.redis().await.get::<_, i64>(bed.keys().epoch).await.unwrap(), ahead + 1);
}

#[tokio::test]
async fn a_round_runs_when_it_is_due_and_the_next_one_an_interval_later() {
    let bed = Testbed::new("due").await;
    assert!(matches!(round_with(&bed, Trigger::IfDue).await.unwrap(), RoundOutcome::Cached(_)));
    for _ in 0..2 {
        let RoundOutcome::NotDue(wait) = round_with(&bed, Trigger::IfDue).await.unwrap() else {
            panic!("it is not due")
        };
        assert!(wait <= AGING.interval && wait > AGING.interval / 2, "{wait:?}");
    }
    // Two and a half intervals late: the next one is due in half an interval.
    let late = "UPDATE cache_rounds SET due_at = now() - interval '125 s'";
    bed.sql().await.batch_execute(late).await.unwrap();
    assert!(matches!(round_with(&bed, Trigger::IfDue).await.unwrap(), RoundOutcome::Cached(_)));
    let RoundOutcome::NotDue(wait) = round_with(&bed, Trigger::IfDue).await.unwrap() else { panic!("it is not due") };
    assert!(wait <= AGING.interval / 2 && wait > AGING.interval / 4, "{wait:?}");
}

#[tokio::test]
async fn a_redis_that_lost_its_rows_is_refilled_with_those_cached_last_and_none_is_aged() {
    let bed = Testbed::new("refilled").await;
    assert_eq!(refilled(&bed).await, RefillOutcome::NothingCached);
    cached(&bed).await;
    cached(&bed).await;
    assert_eq!(refilled(&bed).await, RefillOutcome::Full);
    let (mut redis, keys) = (bed.redis().await, bed.keys());
    let before: BTreeMap<String, String> = redis.hgetall(&keys.users).await.unwrap();
    let state = "SELECT count(*) FROM users u, cache_rounds c WHERE u.last_cached_at = c.cached_at";
    assert_eq!(count(&bed, state).await, SIZE as i64);

    let () = redis.del(&[&keys.users, &keys.products, &keys.refreshed_at, &keys.epoch]).await.unwrap();
    assert_eq!(refilled(&bed).await, RefillOutcome::Refilled { users: SIZE, products: SIZE });
    assert_eq!(redis.hgetall::<_, BTreeMap<String, String>>(&keys.users).await.unwrap(), before);
    assert_eq!(count(&bed, state).await, SIZE as i64, "no row is marked and no round is moved");
    assert!(matches!(round_with(&bed, Trigger::IfDue).await.unwrap(), RoundOutcome::NotDue(_)));

    // One lost hash is enough for a refill, which reads the present values of the rows.
    bed.sql().await.batch_execute("UPDATE users SET region = 'moved'; DELETE FROM products").await.unwrap();
    let () = redis.del(&keys.users).await.unwrap();
    assert_eq!(refilled(&bed).await, RefillOutcome::Refilled { users: SIZE, products: 0 });
    let users: BTreeMap<String, String> = redis.hgetall(&keys.users).await.unwrap();
    assert!(users.values().all(|user| user.contains("\"moved\"")));
    assert_eq!(
        redis.hlen::<_, usize>(&keys.products).await.unwrap(),
        SIZE,
        "a table without rows leaves the cached rows in place"
    );
}

#[tokio::test]
async fn a_short_table_fills_the_cache_with_all_its_rows() {
    let bed = Testbed::new("short_table").await;
    bed.sql().await.batch_execute("DELETE FROM users WHERE user_id > 'U00000003'").await.unwrap();
    for expected in [RowCounts { new: 3, aged: 0 }, RowCounts { new: 0, aged: 3 }] {
        assert_eq!(cached(&bed).await.users, expected);
        assert_eq!(bed.redis().await.hlen::<_, usize>(bed.keys().users).await.unwrap(), 3);
    }
}

#[tokio::test]
async fn rows_staged_by_others_do_not_get_into_the_cache_and_nothing_stays_staged() {
    let bed = Testbed::new("stale_staging").await;
    let () = bed.redis().await.hset(bed.keys().staging_users, "ghost", "{}").await.unwrap();
    round(&bed).await.unwrap();
    assert!(!bed.redis().await.hexists::<_, _, bool>(bed.keys().users, "ghost").await.unwrap());
    assert_eq!(bed.redis().await.hlen::<_, usize>(bed.keys().users).await.unwrap(), SIZE);
    // The cache has no expiry.
    assert_eq!(bed.redis().await.ttl::<_, i64>(bed.keys().users).await.unwrap(), -1);
    let staged: Vec<String> = bed.redis().await.keys(format!("{}:*", bed.keys().staging_users)).await.unwrap();
    assert!(staged.is_empty(), "{staged:?}");
}

#[tokio::test]
async fn empty_tables_leave_the_cache_unchanged() {
    let bed = Testbed::new("empty_tables").await;
    round(&bed).await.unwrap();
    bed.sql().await.batch_execute("DELETE FROM users; DELETE FROM products").await.unwrap();
    assert_eq!(round(&bed).await.unwrap(), RoundOutcome::TablesEmpty);
    assert_eq!(bed.redis().await.hlen::<_, usize>(bed.keys().users).await.unwrap(), SIZE);
}

#[tokio::test]
async fn only_one_round_at_a_time_runs_on_a_database() {
    let bed = Testbed::new("one_at_a_time").await;
    let other = bed.sql().await;
    other.batch_execute(&format!("BEGIN; SELECT pg_advisory_xact_lock({ADVISORY_LOCK})")).await.unwrap();
    assert_eq!(round(&bed).await.unwrap(), RoundOutcome::Busy);
    other.batch_execute("ROLLBACK").await.unwrap();
    assert!(matches!(round(&bed).await.unwrap(), RoundOutcome::Cached(_)));
}
