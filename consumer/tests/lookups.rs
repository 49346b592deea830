//! Looks up attributes in a real Redis and a real table.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::{sync::Arc, time::Duration};

use consumer::{
    health::ConsumerHealth, model::WorkerId, pipeline::enrich::Enricher, retry_scope::RetryScope,
    settings::StatementSettings, sink::database::OrderDatabase,
};
use redis::AsyncCommands;
use shared::{
    catalog::{ProductId, User, UserId},
    database::StatementMode,
    lookup::{LoggedOutage, RowCache},
    wire,
};
use testbed::{Testbed, eventually};
use tokio_util::sync::CancellationToken;

const DEADLINE: Duration = Duration::from_secs(5);

/// Looks up users as a consumer that was just started: without rows of its own.
async fn regions(bed: &Testbed, ids: &[&str]) -> Vec<String> {
    let statements = StatementSettings { statements: StatementMode::Prepared, statement_deadline: DEADLINE };
    let health = Arc::new(ConsumerHealth::default());
    let mut database = OrderDatabase::new(bed.database.clone(), statements, WorkerId::of_partition(0, 1), health);
    let enricher = Enricher::new(bed.redis().await, bed.keys(), Duration::from_secs(60), Arc::default());
    let force_stop = CancellationToken::new();
    let mut scope = RetryScope::new(&force_stop, &|| false);
    let users: Vec<UserId> = ids.iter().map(|id| UserId::from(*id)).collect();
    let product = ProductId::from("P000001");
    let looking_up =
        enricher.lookup(users.iter().collect(), [&product].into_iter().collect(), &mut database, &mut scope);
    let found = looking_up.await.unwrap();
    let region = |id: &&str| {
        let value = testbed::ORDER_VALUE.replace("U00000001", id);
        let order = wire::decode_order(Some(b"order"), Some(value.as_bytes())).unwrap();
        found.enrich(order).unwrap().user.region.clone()
    };
    ids.iter().map(region).collect()
}

#[tokio::test]
async fn a_row_that_the_cache_lacks_is_in_redis_for_the_next_consumer_until_it_is_updated() {
    let bed = Testbed::new("cached_lookups").await;
    testbed::fill_cache(&bed).await;
    // The cache has the first one only.
    let ids = ["U00000001", "U00000200"];
    let before = regions(&bed, &ids).await;
    let (sql, mut redis) = (bed.sql().await, bed.redis().await);
    let entry = bed.keys().entry("user", ids[1]);
    let is_entry = async || redis.clone().exists(&entry).await.unwrap();
    eventually("the row is in Redis", DEADLINE, is_entry).await;
    let in_hash: bool = redis.exists(bed.keys().entry("user", ids[0])).await.unwrap();
    assert!(!in_hash, "a row of the cache needs no entry");
    sql.batch_execute("UPDATE users SET region = 'moved'").await.unwrap();
    assert_eq!(regions(&bed, &ids).await, before, "both are from Redis");
    let cache = RowCache::new(redis, bed.keys(), LoggedOutage::default());
    cache.invalidate::<User>(&ids, DEADLINE).await.unwrap();
    assert_eq!(regions(&bed, &ids).await, ["moved", "moved"]);
}

#[tokio::test]
async fn a_row_of_redis_that_is_not_valid_is_looked_up_in_the_table() {
    let bed = Testbed::new("invalid_cache_rows").await;
    testbed::fill_cache(&bed).await;
    let too_long = format!(r#"{{"gender":"M","age_group":"90대","region":"{}"}}"#, "r".repeat(51));
    let rows = [
        ("U00000001", r#"{"user_id":"U00000002","gender":"M","age_group":"90대","region":"another user's"}"#),
        ("U00000002", too_long.as_str()),
        ("U00000003", "not JSON"),
        ("U00000004", r#"{"user_id":"U00000004","gender":"M","age_group":"90대","region":"valid"}"#),
    ];
    let mut redis = bed.redis().await;
    for (id, json) in rows {
        let () = redis.hset(bed.keys().users, id, json).await.unwrap();
    }
    let regions = regions(&bed, &rows.map(|(id, _)| id)).await;
    let sql = bed.sql().await;
    for ((id, _), region) in rows.into_iter().zip(regions) {
        let query = "SELECT region FROM users WHERE user_id = $1";
        let stored: String = sql.query_one(query, &[&id]).await.unwrap().get(0);
        assert_eq!(region, if id == "U00000004" { "valid".to_owned() } else { stored }, "{id}");
    }
}
