//! A database that refuses inserts for reasons other than the orders: no order is dead-lettered, and all are stored
//! once the reason is gone.

use std::ops::Range;

use benches::{
    metrics,
    process::{Program, free_address},
};
use rdkafka::producer::{FutureProducer, FutureRecord};
use shared::kafka::ensure_topic;
use testbed::Testbed;

use super::scenario::{TIMEOUT, stored, wait_until_stored};

struct Sink {
    bed: Testbed,
    producer: FutureProducer,
    consumer: Program,
    address: std::net::SocketAddr,
}

impl Sink {
    async fn start(test: &str, arguments: &[&str]) -> Self {
        let bed = Testbed::new(test).await;
        ensure_topic(&bed.kafka, &bed.topic.orders()).await.unwrap();
        let producer = bed.kafka.client(&[("acks", "all")]).create().unwrap();
        let address = free_address().unwrap();
        let listen = address.to_string();
        let arguments = arguments.iter().copied().chain(["--listen", &listen]);
        let consumer = Program::start("consumer", "consumer", arguments, &bed.environment(), bed.folder()).unwrap();
        let sink = Self { bed, producer, consumer, address };
        // A test breaks something only after the consumer has started.
        sink.wait_for_log("partitions assigned").await;
        sink
    }

    /// Sends orders to one partition.
    async fn send(&self, numbers: Range<u32>) {
        let sending = numbers.map(|n| {
            let key = format!("order-{n:03}");
            let record = FutureRecord::to(&self.bed.topic.topic).partition(0).key(&key).payload(testbed::ORDER_VALUE);
            self.producer.send_result(record).unwrap()
        });
        for sent in sending.collect::<Vec<_>>() {
            sent.await.unwrap().unwrap();
        }
    }

    async fn wait_for_log(&self, text: &str) {
        let logged = async || self.consumer.log().contains(text);
        let waiting = tokio::time::timeout(TIMEOUT, testbed::eventually("the text is logged", TIMEOUT * 2, logged));
        assert!(waiting.await.is_ok(), "{text:?} is not in:\n{}", self.consumer.log());
    }

    /// Changes a setting for all new sessions of the test's database, and terminates the existing ones.
    async fn set(&self, setting: &str) {
        let sql = self.bed.sql().await;
        sql.batch_execute("SET default_transaction_read_only = off").await.unwrap();
        let alter = format!("ALTER DATABASE \"{}\" SET {setting}", self.bed.database.database());
        sql.batch_execute(&alter).await.unwrap();
        let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                      WHERE datname = current_database() AND pid <> pg_backend_pid()";
        sql.batch_execute(others).await.unwrap();
    }

    async fn end(self, expected: i64) {
        wait_until_stored(&self.bed, expected).await;
        testbed::eventually("it is ready again", TIMEOUT, async || metrics::is_ready(self.address).await).await;
        let dead = metrics::value(self.address, consumer::metrics::DEAD_LETTERED).await.unwrap();
        assert_eq!((stored(&self.bed).await, dead), (expected, 0.0), "{}", self.consumer.log());
        tokio::task::spawn_blocking(move || self.consumer.stop()).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn inserts_are_retried_until_a_read_only_server_is_writable_again() {
    let sink = Sink::start("read_only", &[]).await;
    sink.send(0..50).await;
    wait_until_stored(&sink.bed, 50).await;
    sink.set("default_transaction_read_only = on").await;
    sink.send(50..100).await;
    sink.wait_for_log("SQLSTATE 25006").await;
    assert!(!metrics::is_ready(sink.address).await);
    sink.set("default_transaction_read_only = off").await;
    sink.end(100).await;
}

#[tokio::test]
async fn statements_that_the_server_cancels_are_retried_until_they_succeed() {
    let sink = Sink::start("cut_short", &[]).await;
    sink.set("statement_timeout = '300ms'").await;
    let other = sink.bed.sql().await;
    other.batch_execute("SET statement_timeout = 0; BEGIN; LOCK TABLE orders IN SHARE MODE").await.unwrap();
    sink.send(0..50).await;
    sink.wait_for_log("SQLSTATE 57014").await;
    other.batch_execute("COMMIT").await.unwrap();
    sink.end(50).await;
}

/// Another session has locked a row of the batch, and waits for a row that the batch has locked.
#[tokio::test]
async fn a_batch_that_is_the_victim_of_a_deadlock_is_retried_and_stored() {
    let sink = Sink::start("deadlock", &[]).await;
    // A session checks for a deadlock once, this long after it began to wait. By then the other session waits, too.
    sink.set("deadlock_timeout = '5s'").await;
    let other = sink.bed.sql().await;
    let insert = |id: &str| {
        format!(
            "INSERT INTO orders (order_id, user_id, product_id, quantity, total_amount, shipping_cost, \
             discount_amount, payment_method, status, category, user_region, user_gender, user_age_group, created_at) \
             VALUES ('{id}', 'U00000001', 'P000001', 1, 1000, 0, 0, 'card', 'paid', 'x', 'x', 'U', 'x', now())"
        )
    };
    // The session that detects the deadlock is its victim. The other session checks much later than the consumer.
    other.batch_execute(&format!("SET deadlock_timeout = '1min'; BEGIN; {}", insert("order-049"))).await.unwrap();
    sink.send(0..50).await;
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let watching = sink.bed.sql().await;
    let is_waiting = async || watching.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) > 0;
    testbed::eventually("the consumer waits for the other session", TIMEOUT, is_waiting).await;
    // However the orders are batched, orders 48 and 49 are in the same batch.
    let closing = insert("order-048");
    let (closed, ()) = tokio::join!(other.batch_execute(&closing), sink.wait_for_log("SQLSTATE 40P01"));
    closed.unwrap();
    other.batch_execute("ROLLBACK").await.unwrap();
    sink.end(50).await;
}

#[tokio::test]
async fn a_worker_that_hangs_ends_the_consumer_and_another_one_stores_the_orders() {
    let arguments = ["--statement-deadline", "2m", "--stuck-after", "4s", "--stop-deadline", "1s"];
    let mut sink = Sink::start("stuck", &arguments).await;
    let other = sink.bed.sql().await;
    other.batch_execute("BEGIN; LOCK TABLE orders IN SHARE MODE").await.unwrap();
    sink.send(0..50).await;
    let mut stuck = sink.consumer;
    let (status, log) = tokio::task::spawn_blocking(move || (stuck.wait(TIMEOUT), stuck.log())).await.unwrap();
    assert_eq!(status.unwrap().code(), Some(1), "{log}");
    assert!(
        log.contains("is stuck: it is 50 records behind") && log.contains("so that another one takes the partition"),
        "{log}"
    );
    other.batch_execute("COMMIT").await.unwrap();
    let listen = sink.address.to_string();
    let next = ["--listen", &listen];
    sink.consumer = Program::start("next", "consumer", next, &sink.bed.environment(), sink.bed.folder()).unwrap();
    tokio::time::timeout(TIMEOUT, sink.end(50)).await.unwrap();
}
