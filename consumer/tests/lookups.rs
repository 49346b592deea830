//! Looks up attributes in a real Redis and a real table.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::{sync::Arc, time::Duration};

use consumer::{
    health::ConsumerHealth, model::WorkerId, pipeline::enrich::Enricher, retry_scope::RetryScope,
    settings::StatementSettings, sink::database::OrderDatabase,
};
use redis::AsyncCommands;
use shared::{
    catalog::{ProductId, UserId},
    database::StatementMode,
    wire,
};
use testbed::Testbed;
use tokio_util::sync::CancellationToken;

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
    let statements =
        StatementSettings { statements: StatementMode::Prepared, statement_deadline: Duration::from_secs(5) };
    let health = Arc::new(ConsumerHealth::default());
    let mut database = OrderDatabase::new(bed.database.clone(), statements, WorkerId::of_partition(0, 1), health);
    let enricher = Enricher::new(bed.redis().await, bed.keys(), Duration::from_secs(60), Arc::default());
    let force_stop = CancellationToken::new();
    let mut scope = RetryScope::new(&force_stop, &|| false);
    let (users, product) = (rows.map(|(id, _)| UserId::from(id)), ProductId::from("P000001"));
    let found = enricher
        .lookup(users.iter().collect(), [&product].into_iter().collect(), &mut database, &mut scope)
        .await
        .unwrap();
    let sql = bed.sql().await;
    for (id, _) in rows {
        let value = testbed::ORDER_VALUE.replace("U00000001", id);
        let order = wire::decode(None, Some(b"order"), Some(value.as_bytes())).unwrap();
        let region = found.enrich(order).unwrap().user.region.clone();
        let query = "SELECT region FROM users WHERE user_id = $1";
        let stored: String = sql.query_one(query, &[&id]).await.unwrap().get(0);
        assert_eq!(region, if id == "U00000004" { "valid".to_owned() } else { stored }, "{id}");
    }
}
