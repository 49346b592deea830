//! A worker that can't store its rows holds back its own partitions only.

use std::{collections::BTreeSet, time::Duration};

use benches::process::Program;
use rdkafka::producer::{FutureProducer, FutureRecord};
use shared::kafka::ensure_topic;
use testbed::{Testbed, eventually};

use super::scenario::{TIMEOUT, stored};

/// Of three workers, each has the partition with its number.
const LOCKED_PARTITION: i32 = 0;
/// The watchdog looks every 5 s.
const STUCK_AFTER: Duration = Duration::from_secs(5);

/// Sends orders to a partition; their ids begin with its number.
async fn send(bed: &Testbed, producer: &FutureProducer, partition: i32, numbers: std::ops::Range<u32>, value: &str) {
    let sending = numbers.map(|n| {
        let key = format!("{partition}-{n:05}");
        producer.send_result(FutureRecord::to(&bed.topic.topic).partition(partition).key(&key).payload(value)).unwrap()
    });
    for sent in sending.collect::<Vec<_>>() {
        sent.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn one_locked_user_row_holds_back_the_partitions_of_its_worker_only_and_does_not_end_the_consumer() {
    let bed = Testbed::new("one_locked_row").await;
    ensure_topic(&bed.kafka, &bed.topic.orders()).await.unwrap();
    let sql = bed.sql().await;
    sql.batch_execute("BEGIN; SELECT FROM users WHERE user_id = 'U00000002' FOR UPDATE").await.unwrap();
    let stuck_after = format!("{}s", STUCK_AFTER.as_secs());
    let arguments =
        ["--workers", "3", "--queue-size", "1", "--statement-deadline", "2s", "--stuck-after", &stuck_after];
    let consumer = Program::start("consumer", "consumer", arguments, &bed.environment(), bed.folder()).unwrap();
    let producer: FutureProducer = bed.kafka.client(&[("acks", "all")]).create().unwrap();
    let locked = testbed::ORDER_VALUE.replace("U00000001", "U00000002");
    assert_ne!(locked, testbed::ORDER_VALUE);
    for partition in 0..3 {
        send(&bed, &producer, partition, 0..1, testbed::ORDER_VALUE).await;
    }
    eventually("each worker stores", TIMEOUT, async || stored(&bed).await == 3).await;

    send(&bed, &producer, LOCKED_PARTITION, 1..2, &locked).await;
    send(&bed, &producer, LOCKED_PARTITION, 2..5_000, testbed::ORDER_VALUE).await;
    let watching = bed.sql().await;
    let by_partition = async || -> BTreeSet<(String, i64)> {
        let query = "SELECT left(order_id, 1), count(*) FROM orders GROUP BY 1";
        watching.query(query, &[]).await.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect()
    };
    // The orders of the other partitions are stored one after the other, for longer than the queue of the stuck worker
    // and the watchdog take.
    let began = std::time::Instant::now();
    let mut sent = 1;
    while began.elapsed() < 4 * STUCK_AFTER || !consumer.log().contains("record queue: worker 0 is full") {
        for partition in [1, 2] {
            send(&bed, &producer, partition, sent..sent + 10, testbed::ORDER_VALUE).await;
        }
        sent += 10;
        let expected = i64::from(sent);
        eventually("the orders of the other partitions are stored", TIMEOUT, async || {
            let stored = by_partition().await;
            stored.contains(&("1".to_owned(), expected)) && stored.contains(&("2".to_owned(), expected))
        })
        .await;
        assert!(began.elapsed() < 2 * TIMEOUT, "{}", consumer.log());
    }
    assert!(by_partition().await.iter().any(|(partition, stored)| partition == "0" && *stored < 5_000));

    sql.batch_execute("ROLLBACK").await.unwrap();
    let all = 5_000 + 2 * i64::from(sent);
    eventually("all orders are stored", TIMEOUT, async || stored(&bed).await == all).await;
    let log = consumer.log();
    assert!(log.contains("an insert of worker 0 into"), "{log}");
    assert!(!log.contains("worker 1") && !log.contains("worker 2"), "{log}");
    tokio::task::spawn_blocking(move || consumer.stop()).await.unwrap().unwrap();
}
