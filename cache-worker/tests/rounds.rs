//! Rounds on the real Redis and the real PostgreSQL.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::{collections::BTreeMap, time::Duration};

use cache_worker::round::{ADVISORY_LOCK, Cached, Round, RoundError, run_round};
use redis::AsyncCommands;
use shared::{catalog::User, database::connect_diesel};
use testbed::{PRODUCTS, Testbed, USERS};

const SIZE: usize = 1_000;

async fn round(bed: &Testbed) -> Result<Round, RoundError> {
    let mut connection = connect_diesel(&bed.database).await.unwrap();
    run_round(&mut connection, &mut bed.redis().await, &bed.keys(), SIZE).await
}

async fn count(bed: &Testbed, query: &str) -> i64 {
    bed.sql().await.query_one(query, &[]).await.unwrap().get(0)
}

const MARKED: &str = "SELECT count(*) FROM users WHERE last_cached_at IS NOT NULL";

#[tokio::test]
async fn a_round_marks_exactly_what_it_put_into_the_cache() {
    let bed = Testbed::new("round_marks").await;
    let Round::Cached(Cached { users, new_users, products, new_products, .. }) = round(&bed).await.unwrap() else {
        panic!("there is something to cache")
    };
    assert_eq!((users, new_users, products, new_products), (SIZE, SIZE, SIZE, SIZE));

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
async fn every_row_comes_round_and_the_aged_have_their_half() {
    let bed = Testbed::new("comes_round").await;
    // 1,200 rows: 1,000 new ones; then the 200 others and the 800 that were cached longest ago.
    round(&bed).await.unwrap();
    let Round::Cached(second) = round(&bed).await.unwrap() else { panic!("there is something to cache") };
    assert_eq!((second.users, second.new_users), (SIZE, USERS as usize - SIZE));
    assert_eq!((second.products, second.new_products), (SIZE, PRODUCTS as usize - SIZE));
    assert_eq!(count(&bed, MARKED).await, USERS as i64);

    // New rows keep coming, and still the oldest of the aged are served.
    let oldest: i64 =
        count(&bed, "SELECT count(*) FROM users WHERE last_cached_at < (SELECT max(last_cached_at) FROM users)").await;
    assert_eq!(oldest, 200);
    bed.sql()
        .await
        .batch_execute("INSERT INTO users (user_id) SELECT 'N' || n FROM generate_series(1, 2000) n")
        .await
        .unwrap();
    let Round::Cached(third) = round(&bed).await.unwrap() else { panic!("there is something to cache") };
    assert_eq!((third.users, third.new_users), (SIZE, SIZE / 2));
    let left = "SELECT count(*) FROM users u WHERE last_cached_at = (SELECT min(last_cached_at) FROM users)";
    assert_eq!(count(&bed, left).await, USERS as i64 - 500, "the 200 oldest and 300 of the next went first");
}

#[tokio::test]
async fn a_swap_that_is_refused_marks_nothing() {
    let bed = Testbed::new("refused_swap").await;
    let () = bed.redis().await.set(bed.keys().epoch, i64::MAX / 1_024).await.unwrap();
    assert!(matches!(round(&bed).await, Err(RoundError::TooOld)));
    assert_eq!(count(&bed, MARKED).await, 0);
    assert!(!bed.redis().await.exists::<_, bool>(bed.keys().users).await.unwrap());
}

#[tokio::test]
async fn what_others_left_staged_does_not_get_into_the_cache_and_nothing_stays_staged() {
    let bed = Testbed::new("stale_staging").await;
    let () = bed.redis().await.hset(bed.keys().staging_users, "ghost", "{}").await.unwrap();
    round(&bed).await.unwrap();
    assert!(!bed.redis().await.hexists::<_, _, bool>(bed.keys().users, "ghost").await.unwrap());
    assert_eq!(bed.redis().await.hlen::<_, usize>(bed.keys().users).await.unwrap(), SIZE);
    // The cache itself never expires.
    assert_eq!(bed.redis().await.ttl::<_, i64>(bed.keys().users).await.unwrap(), -1);
    let staged: Vec<String> = bed.redis().await.keys(format!("{}:*", bed.keys().staging_users)).await.unwrap();
    assert!(staged.is_empty(), "{staged:?}");
}

#[tokio::test]
async fn empty_tables_leave_the_cache_as_it_is() {
    let bed = Testbed::new("empty_tables").await;
    round(&bed).await.unwrap();
    bed.sql().await.batch_execute("DELETE FROM users; DELETE FROM products").await.unwrap();
    assert_eq!(round(&bed).await.unwrap(), Round::NothingToCache);
    assert_eq!(bed.redis().await.hlen::<_, usize>(bed.keys().users).await.unwrap(), SIZE);
}

#[tokio::test]
async fn only_one_round_at_a_time_works_on_a_database() {
    let bed = Testbed::new("one_at_a_time").await;
    let other = bed.sql().await;
    other.batch_execute(&format!("BEGIN; SELECT pg_advisory_xact_lock({ADVISORY_LOCK})")).await.unwrap();
    assert_eq!(round(&bed).await.unwrap(), Round::Busy);
    other.batch_execute("ROLLBACK").await.unwrap();
    assert!(matches!(round(&bed).await.unwrap(), Round::Cached(_)));
}

#[tokio::test]
async fn orders_are_inserted_while_a_round_holds_its_rows() {
    let bed = Testbed::new("insert_beside").await;
    let holder = bed.sql().await;
    holder
        .batch_execute("BEGIN; SELECT FROM users FOR NO KEY UPDATE; SELECT FROM products FOR NO KEY UPDATE")
        .await
        .unwrap();
    let insert = "SET statement_timeout = '5s'; INSERT INTO orders (order_id, user_id, product_id, quantity, total_amount, payment_method, status, created_at) \
                  SELECT 'o', user_id, product_id, 1, 1, 'card', 'paid', now() FROM users, products LIMIT 1";
    let inserting =
        tokio::time::timeout(Duration::from_secs(10), async { bed.sql().await.batch_execute(insert).await });
    inserting.await.unwrap().unwrap();
    holder.batch_execute("ROLLBACK").await.unwrap();
}
