//! Orders are inserted while a round hangs.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use cache_worker::round::{RoundError, run_round};
use testbed::Testbed;
use tokio_postgres::Client;

use super::{AGING, MARKED, Trigger, count};

/// Orders inserted beside the round. A busy machine inserts fewer until the round fails.
const ORDERS: i32 = 100;
const FEWEST_ORDERS: usize = 5;

/// Inserts orders one by one while `more` says so, for users that the round has locked and for others. Returns the sorted
/// durations.
async fn insert_orders(sql: &Client, first: i32, more: impl Fn() -> bool) -> Vec<Duration> {
    let insert = "\
        INSERT INTO orders \
            (order_id, user_id, product_id, quantity, total_amount, payment_method, status, created_at) \
        SELECT 'order-' || $1, 'U' || lpad((1 + $1 % 1200)::text, 8, '0'), \
            'P' || lpad((1 + $1 % 1100)::text, 6, '0'), 1, 1, 'card', 'paid', now()";
    let insert = sql.prepare_typed(insert, &[tokio_postgres::types::Type::INT4]).await.unwrap();
    let mut took = Vec::new();
    for number in first..first + ORDERS {
        let started = Instant::now();
        sql.execute(&insert, &[&number]).await.unwrap();
        if !more() {
            break;
        }
        took.push(started.elapsed());
    }
    took.sort_unstable();
    took
}

#[tokio::test]
async fn orders_are_inserted_as_fast_while_a_round_waits_for_redis() {
    let bed = Testbed::new("hung_round").await;
    let proxy = bed.redis_proxy().await;
    let mut redis = bed.cache_behind(&proxy).connect(Duration::from_secs(10)).await.unwrap();
    let sql = bed.sql().await;
    insert_orders(&sql, 0, || true).await;
    let before = insert_orders(&sql, 1_000, || true).await;

    let mut connection = bed.statements().await;
    proxy.stall();
    let keys = bed.keys();
    let is_hanging = Cell::new(true);
    let hanging = async {
        let hung = run_round(&mut connection, &mut redis, &keys, AGING, Trigger::Always).await;
        is_hanging.set(false);
        hung
    };
    let inserting = async {
        let locked = "\
            SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' \
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        testbed::eventually("the round has locked its rows", AGING.step_timeout(), async || {
            let idle = "\
                SELECT count(*) FROM pg_stat_activity \
                WHERE datname = current_database() AND state = 'idle in transaction'";
            count(&bed, locked).await == 1 && count(&bed, idle).await == 1
        })
        .await;
        insert_orders(&sql, 2_000, || is_hanging.get()).await
    };
    let (hung, during) = tokio::join!(hanging, inserting);
    assert!(during.len() >= FEWEST_ORDERS, "the orders waited for the round: {} were inserted", during.len());
    assert!(matches!(hung, Err(RoundError::Redis(_) | RoundError::SwapTimeout(_))), "{hung:?}");
    assert_eq!(count(&bed, MARKED).await, 0, "a failed swap marks nothing");
    let median = |took: &[Duration]| took[took.len() / 2];
    let (before, during) = (median(&before), median(&during));
    // An order that waits for the round takes up to a second.
    assert!(during < before * 2 + Duration::from_millis(50), "median {during:?} instead of {before:?}");
}
