//! The sending thread with librdkafka's mock brokers, whose round trip a test can choose. No service is needed.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use clap::Parser;
use producer::{
    clock::RunClock,
    generate::{ChangeEncoder, Encoder},
    lifecycle::{Histories, MAX_PENDING, PendingChanges, Plans},
    sample,
    send::{
        client::{ClientLimits, client, client_config, linger, partitioner_window},
        client_orders::ClientOrders,
        delivery::{DeliveryContext, DeliveryTracker},
        partition_queue::{PartitionQueues, WaitPolicy},
        partitioner::{PartitionChooser, Partitioner},
        publisher::{Publisher, Sent},
        tally::Tally,
    },
    settings::Command,
};
use rdkafka::{
    ClientConfig, Statistics,
    consumer::{BaseConsumer, Consumer},
    mocking::MockCluster,
    producer::{DefaultProducerContext, FutureProducer, FutureRecord},
    types::{RDKafkaApiKey, RDKafkaRespErr},
};
use shared::{
    lifecycle::{ChangeNumber, OrderStatus},
    order_id::RunTag,
    service_manager::Heartbeat,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const PARTITIONS: i32 = 3;
const START_DELAY: Duration = Duration::from_secs(1);

/// Sends orders to a mock broker that answers each request after `round_trip`, in whole milliseconds.
async fn send(round_trip: Duration, arguments: &[&str]) -> (Sent, Tally) {
    let (sent, tally, _) = send_and_watch(round_trip, arguments).await;
    (sent, tally)
}

/// The same; also returns librdkafka's last statistics.
async fn send_and_watch(round_trip: Duration, arguments: &[&str]) -> (Sent, Tally, Statistics) {
    send_to(&brokers(round_trip), arguments).await
}

fn brokers(round_trip: Duration) -> MockCluster<'static, DefaultProducerContext> {
    let brokers = MockCluster::new(1).unwrap();
    brokers.create_topic("orders", PARTITIONS, 1).unwrap();
    brokers.broker_round_trip_time(1, round_trip).unwrap();
    brokers
}

async fn send_to(brokers: &MockCluster<'_, DefaultProducerContext>, arguments: &[&str]) -> (Sent, Tally, Statistics) {
    send_and_meanwhile(brokers, MAX_PENDING, arguments, async |_| ()).await
}

/// Sends orders with at most `limit` pending changes, and does something `meanwhile`.
async fn send_and_meanwhile(
    brokers: &MockCluster<'_, DefaultProducerContext>,
    limit: usize,
    arguments: &[&str],
    meanwhile: impl AsyncFnOnce(&Mutex<Tally>),
) -> (Sent, Tally, Statistics) {
    let bootstrap = brokers.bootstrap_servers();
    let common = ["producer", "--source", "builtin", "--builtin-users", "10", "--builtin-products", "10"];
    let command = Command::parse_from(common.iter().chain(&["--brokers", &bootstrap]).chain(arguments));
    let plan = command.plan().unwrap();
    let source = sample::open(&plan.source, &command.cache, 500, plan.seed).await.unwrap();
    // The client is connected when the first order is due.
    let clock = RunClock { start: Instant::now() + START_DELAY, started_at: chrono::Utc::now() + START_DELAY };
    let lifecycle = plan.lifecycle.as_ref();
    let plans = || lifecycle.map(|chosen| Plans::new(chosen.lifecycle.clone(), plan.seed));
    let histories = plans().map(|plans| Histories::new(plans, PendingChanges::new(limit)));
    let tracker = DeliveryTracker::new(clock, command.load.warm_up, None, histories);
    let client_orders = ClientOrders::new(PARTITIONS as usize);
    let statistics = watch::Sender::default();
    let last_statistics = statistics.subscribe();
    let context = DeliveryContext { tracker: tracker.clone(), client_orders: client_orders.clone(), statistics };
    let mut config = client_config(&command.kafka, command.linger());
    config.set("statistics.interval.ms", "200");
    let tag = RunTag::random();
    let publisher = Publisher {
        client: client(&config, context).unwrap(),
        clock,
        tracker: tracker.clone(),
        pacer: plan.pacer,
        encoder: Encoder::new(tag, source.samples, plan.seed, command.orders.invalid),
        changes: plans().map(|plans| ChangeEncoder::new(tag, plans)),
        partitioner: Some(PartitionChooser::new(
            command.orders.partitioner,
            PARTITIONS as usize,
            partitioner_window(linger(&config)),
        )),
        queues: PartitionQueues::new(client_orders, WaitPolicy::UntilAcknowledged, ClientLimits::of(&config)),
        topic: "orders".to_owned(),
        flush_timeout: command.load.flush_timeout,
        heartbeat: Heartbeat::default(),
    };
    let sending = tokio::task::spawn_blocking(move || publisher.run(&CancellationToken::new()));
    let total = Arc::new(Mutex::new(Tally::default()));
    let adding = {
        let (total, tracker) = (total.clone(), tracker.clone());
        tokio::spawn(async move {
            loop {
                total.lock().unwrap().add(tracker.take_tally());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
    };
    meanwhile(&total).await;
    let sent = sending.await.unwrap();
    adding.abort();
    let _ = adding.await;
    let mut tally = total.lock().unwrap().clone();
    tally.add(tracker.take_tally());
    let last_statistics = serde_json::from_slice(&last_statistics.borrow()).unwrap();
    (sent, tally, last_statistics)
}

#[tokio::test]
async fn a_stall_lasts_until_the_first_acknowledgement_and_counts_the_orders_due_meanwhile() {
    let (sent, tally) = send(Duration::from_millis(400), &["--rate", "200", "--duration", "4s"]).await;
    assert_eq!(tally.measured.acknowledged, 800);
    let stall = sent.stall.unwrap();
    assert!(stall.nanos() >= 400_000_000, "{stall:?}");
    let due_by = |nanos: i64| (nanos.min(4_000_000_000) as f64 / 5e6).ceil() as u64;
    assert_eq!(sent.due_in_stall, Some(due_by(stall.end) - due_by(stall.start)), "{stall:?}");
}

#[tokio::test]
async fn a_stall_that_never_ends_lasts_until_the_producer_stops_waiting() {
    let arguments = ["--rate", "200", "--duration", "200ms", "--flush-timeout", "300ms"];
    let (sent, tally) = send(Duration::from_secs(60), &arguments).await;
    assert_eq!(tally.measured.acknowledged, 0);
    let stall = sent.stall.unwrap();
    assert!(stall.nanos() >= 300_000_000, "{stall:?}");
    assert!(sent.due_in_stall.is_some_and(|due| (1..=40).contains(&due)), "{:?}", sent.due_in_stall);
}

/// Orders are due every 2 ms, and acknowledged between two of them.
#[tokio::test]
async fn an_acknowledgement_is_noticed_before_the_next_order_is_due() {
    let (_, tally) = send(Duration::from_millis(1), &["--rate", "500", "--duration", "3s"]).await;
    let latency = |percent: u32| tally.acknowledgement.at_quantile(f64::from(percent) / 100.0).unwrap();
    let after_due: Vec<f64> = (1..100).map(|percent| latency(percent) % 2.0).collect();
    let between = after_due.iter().filter(|after| **after > 0.6).count();
    assert!(between > 25, "almost all acknowledgements came with the next due time: {after_due:?}");
}

/// All partitions wait for an acknowledgement most of the time. The thread of the broker would poll some 500,000 times a
/// second while an order waits in the client for longer than its linger.
#[tokio::test]
async fn the_client_sleeps_while_orders_wait_for_an_acknowledgement() {
    let arguments = ["--rate", "1000", "--duration", "4s"];
    let (_, tally, statistics) = send_and_watch(Duration::from_millis(100), &arguments).await;
    assert_eq!(tally.measured.acknowledged, 4_000);
    let wakeups: u64 = statistics.brokers.values().filter_map(|broker| broker.wakeups).sum();
    assert!((1..200_000).contains(&wakeups), "{wakeups} wakeups");
}

#[tokio::test]
async fn orders_that_wait_for_their_partition_at_the_end_are_failed_and_those_sent_are_unknown() {
    let arguments = ["--rate", "1000", "--duration", "3s", "--flush-timeout", "10ms"];
    let (_, tally) = send(Duration::from_millis(300), &arguments).await;
    let (acknowledged, failed) = (tally.measured.acknowledged, tally.measured.failed);
    assert_eq!((tally.measured.enqueued, acknowledged + failed + tally.unknown), (3_000, 3_000));
    assert!(acknowledged > 0 && failed > 0 && tally.unknown > 0, "{acknowledged} {failed} {}", tally.unknown);
    assert_eq!(tally.errors.keys().collect::<Vec<_>>(), ["PurgeInflight", "PurgeQueue"]);
}

#[tokio::test]
async fn the_hash_of_a_key_is_that_of_the_client() {
    let brokers = brokers(Duration::ZERO);
    let client: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", brokers.bootstrap_servers()).create().unwrap();
    let chooser = PartitionChooser::new(Partitioner::Key, PARTITIONS as usize, Duration::ZERO);
    for number in 0..20 {
        let key = format!("01a21811-aa2f-7d33-9b59-d2000000{number:04}");
        let record: FutureRecord<'_, String, str> = FutureRecord::to("orders").key(&key).payload("{}");
        let delivery = client.send(record, Duration::from_secs(10)).await.unwrap();
        assert_eq!(delivery.partition, chooser.partition(key.as_bytes()), "{key}");
    }
}

/// The brokers refuse the first requests, as those do that do not know yet that they are the leaders, and accept any
/// sequence number as the first one.
#[tokio::test]
async fn orders_are_not_acknowledged_by_those_that_follow_them() {
    let brokers = brokers(Duration::from_millis(100));
    let not_leader = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION;
    brokers.request_errors(RDKafkaApiKey::Produce, &[not_leader; PARTITIONS as usize]);
    let (_, tally, _) = send_to(&brokers, &["--rate", "100", "--duration", "3s"]).await;
    assert_eq!((tally.measured.acknowledged, tally.unknown), (300, 0));
    let client: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers.bootstrap_servers())
        .set("group.id", "g")
        .create()
        .unwrap();
    let watermarks = |partition| client.fetch_watermarks("orders", partition, Duration::from_secs(10)).unwrap();
    let in_topic: i64 = (0..PARTITIONS).map(|partition| watermarks(partition).1).sum();
    assert_eq!(in_topic, 300);
}

/// A file with a lifecycle, and its folder.
fn lifecycle(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lifecycle.toml");
    std::fs::write(&file, text).unwrap();
    (folder, file)
}

/// Every order that is not cancelled has three changes, the second one 1 s after it.
const THREE_CHANGES: &str = "[paid]\nprocessing = { weight = 1, delay = '0s' }\n\
    [payment_pending]\npayment_failed = { weight = 1, delay = '0s' }\n\
    [payment_failed]\ncancelled = { weight = 1, delay = '1s' }\n\
    [processing]\nshipped = { weight = 1, delay = '1s' }\n\
    [shipped]\ndelivered = { weight = 1, delay = '0s' }";

fn changes(tally: &Tally) -> [u64; 5] {
    let changes = tally.changes.as_ref().unwrap();
    let acknowledged = tally.sequences.changes_acknowledged.len();
    [changes.enqueued, acknowledged, tally.sequences.changes_failed.len(), changes.unknown, changes.skipped]
}

/// The brokers refuse all further requests as soon as the orders and their first changes are acknowledged.
#[tokio::test]
async fn a_change_that_fails_ends_the_history_of_its_order() {
    let (brokers, (_folder, file)) = (brokers(Duration::from_millis(1)), lifecycle(THREE_CHANGES));
    let arguments = ["--rate", "1000", "--count", "300", "--lifecycle", file.to_str().unwrap()];
    let (_, tally, _) = send_and_meanwhile(&brokers, MAX_PENDING, &arguments, async |total| {
        testbed::eventually("the first changes are acknowledged", Duration::from_secs(20), async || {
            let total = total.lock().unwrap();
            let is_first = |number| ChangeNumber::parts(number).1 == 1;
            let first = total.sequences.changes_acknowledged.iter().filter(|number| is_first(*number)).count() as u64;
            total.measured.acknowledged == 300 && first == total.changes.as_ref().unwrap().enqueued && first > 0
        })
        .await;
        let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
        brokers.request_errors(RDKafkaApiKey::Produce, &[refused; 1_000]);
    })
    .await;
    assert_eq!(tally.measured.acknowledged, 300);
    let [enqueued, acknowledged, failed, unknown, skipped] = changes(&tally);
    assert!(failed > 0 && unknown == 0 && skipped == 0, "{failed} {unknown} {skipped}");
    assert_eq!(enqueued, acknowledged + failed);
    let numbers = [&tally.sequences.changes_acknowledged, &tally.sequences.changes_failed];
    let sequences = numbers.map(|numbers| numbers.iter().map(ChangeNumber::parts).collect::<Vec<_>>());
    assert!(sequences[0].iter().all(|(_, sequence)| *sequence == 1), "nothing was acknowledged any more");
    assert!(sequences[1].iter().all(|(_, sequence)| *sequence == 2), "nothing follows a change that failed");
    assert_eq!(tally.errors.keys().collect::<Vec<_>>(), ["TopicAuthorizationFailed"]);
}

#[tokio::test]
async fn orders_beyond_the_limit_of_pending_changes_do_not_go_on_and_their_changes_are_skipped() {
    let (brokers, (_folder, file)) = (brokers(Duration::from_millis(1)), lifecycle(THREE_CHANGES));
    let arguments = ["--rate", "1000", "--count", "500", "--lifecycle", file.to_str().unwrap()];
    let (_, tally, _) = send_and_meanwhile(&brokers, 50, &arguments, async |_| ()).await;
    assert_eq!(tally.measured.acknowledged, 500);
    let [enqueued, acknowledged, failed, unknown, skipped] = changes(&tally);
    assert_eq!((enqueued, failed + unknown), (acknowledged, 0));
    assert!(skipped > 0 && acknowledged > 0, "{skipped} {acknowledged}");
    let paid = tally.changes.unwrap().by_status[&OrderStatus::Processing];
    assert!(enqueued + skipped >= paid * 3, "the changes of all orders are counted");
}

/// The changes follow the schedule for a second. That is neither a tail nor a stall, and no order is due meanwhile.
#[tokio::test]
async fn changes_after_the_schedule_affect_no_figure_of_the_orders() {
    let (brokers, (_folder, file)) = (brokers(Duration::from_millis(50)), lifecycle(THREE_CHANGES));
    let arguments = ["--rate", "1000", "--duration", "300ms", "--lifecycle", file.to_str().unwrap()];
    let (sent, tally, _) = send_and_meanwhile(&brokers, MAX_PENDING, &arguments, async |_| ()).await;
    let [enqueued, acknowledged, ..] = changes(&tally);
    assert!(enqueued > 500 && enqueued == acknowledged, "{enqueued} {acknowledged}");
    assert_eq!((tally.measured.enqueued, sent.length), (300, Some(Duration::from_millis(300))));
    let last_change = tally.changes.as_ref().unwrap().acknowledgement.summary();
    let (last_order, stall) = (tally.last_acknowledged.unwrap(), sent.stall.unwrap());
    assert!(last_order < 1_300_000_000 && stall.end <= last_order, "{last_order} {stall:?} {last_change:?}");
    assert!(sent.due_in_stall.unwrap() <= 300);
}

/// The changes come 3 s after what was before them, longer than the flush timeout: nobody waits for the brokers then.
#[tokio::test]
async fn a_pause_between_changes_that_is_longer_than_the_flush_timeout_does_not_end_the_run() {
    let (brokers, (_folder, file)) = (brokers(Duration::from_millis(1)), lifecycle(&FAR_CHANGES.replace("20s", "3s")));
    let arguments = ["--rate", "500", "--count", "200", "--flush-timeout", "1s", "--lifecycle", file.to_str().unwrap()];
    let (_, tally, _) = send_and_meanwhile(&brokers, MAX_PENDING, &arguments, async |_| ()).await;
    let [enqueued, acknowledged, failed, unknown, skipped] = changes(&tally);
    assert_eq!((enqueued, failed + unknown + skipped), (acknowledged, 0));
    let by_status = &tally.changes.as_ref().unwrap().by_status;
    assert!(by_status[&OrderStatus::Refunded] > 50 && by_status[&OrderStatus::Delivered] > 50, "{by_status:?}");
}

/// Some changes are due when the one before them is acknowledged after 2 s, others long after that.
#[tokio::test]
async fn changes_that_wait_for_slow_acknowledgements_are_all_sent() {
    let (brokers, (_folder, file)) = (brokers(Duration::from_millis(1)), lifecycle(&FAR_CHANGES.replace("20s", "9s")));
    let arguments = ["--rate", "500", "--count", "100", "--flush-timeout", "4s", "--lifecycle", file.to_str().unwrap()];
    let (_, tally, _) = send_and_meanwhile(&brokers, MAX_PENDING, &arguments, async |total| {
        orders_are_acknowledged(total, 100).await;
        brokers.broker_round_trip_time(1, Duration::from_secs(2)).unwrap();
    })
    .await;
    let [enqueued, acknowledged, failed, unknown, skipped] = changes(&tally);
    assert_eq!((enqueued, failed + unknown + skipped), (acknowledged, 0));
    assert!(enqueued > 100 && tally.changes.unwrap().acknowledgement.summary().max > 2_000.0);
}

async fn orders_are_acknowledged(total: &Mutex<Tally>, orders: u64) {
    testbed::eventually("orders are acknowledged", Duration::from_secs(20), async || {
        total.lock().unwrap().measured.acknowledged >= orders
    })
    .await;
}

/// Half of the orders have a change that is due 20 s after them, the others one after the other.
const FAR_CHANGES: &str = "[paid]\nprocessing = { weight = 1, delay = '0s' }\n\
    refunded = { weight = 1, delay = '20s' }\n\
    [processing]\nshipped = { weight = 1, delay = '500ms' }\n\
    [shipped]\ndelivered = { weight = 1, delay = '500ms' }";

/// The brokers answer no more. Changes are due soon, which the client takes, and others only later.
#[tokio::test]
async fn changes_that_the_brokers_do_not_acknowledge_end_the_run_after_the_flush_timeout() {
    let (brokers, (_folder, file)) = (brokers(Duration::from_millis(1)), lifecycle(FAR_CHANGES));
    let arguments = ["--rate", "500", "--count", "100", "--flush-timeout", "1s", "--lifecycle"];
    let arguments = [&arguments[..], &[file.to_str().unwrap()]].concat();
    let mut silent_since = Instant::now();
    let (_, tally, _) = send_and_meanwhile(&brokers, MAX_PENDING, &arguments, async |total| {
        orders_are_acknowledged(total, 100).await;
        brokers.broker_round_trip_time(1, Duration::from_secs(600)).unwrap();
        silent_since = Instant::now();
    })
    .await;
    let waited = silent_since.elapsed();
    assert!(waited < Duration::from_secs(15), "{waited:?}, in which no other change was due");
    let [enqueued, acknowledged, failed, unknown, skipped] = changes(&tally);
    assert_eq!(enqueued, acknowledged + failed + unknown);
    assert!(failed + unknown > 0 && skipped > 20, "{failed} {unknown} {skipped}");
}

/// The queue has 500 places. In the outage of almost a second, 280 orders and as many changes become due.
#[tokio::test]
async fn changes_leave_the_queue_to_the_orders_in_an_outage() {
    let (brokers, (_folder, file)) = (brokers(Duration::from_millis(1)), lifecycle(THREE_CHANGES));
    let arguments = ["--rate", "300", "--duration", "4s", "--kafka-config", "queue.buffering.max.messages=500"];
    let arguments = [&arguments[..], &["--lifecycle", file.to_str().unwrap()]].concat();
    let (sent, tally, _) = send_and_meanwhile(&brokers, MAX_PENDING, &arguments, async |total| {
        orders_are_acknowledged(total, 330).await;
        brokers.broker_round_trip_time(1, Duration::from_secs(1)).unwrap();
        let enqueued = || total.lock().unwrap().measured.enqueued;
        let before = enqueued();
        testbed::eventually("orders wait", Duration::from_secs(20), async || enqueued() >= before + 280).await;
        brokers.broker_round_trip_time(1, Duration::from_millis(1)).unwrap();
    })
    .await;
    assert!(sent.stall.unwrap().nanos() > 800_000_000, "{:?}", sent.stall);
    assert_eq!((tally.measured.acknowledged, tally.measured.queue_full), (1_200, 0));
    let [enqueued, acknowledged, failed, unknown, skipped] = changes(&tally);
    assert_eq!((enqueued, failed + unknown + skipped), (acknowledged, 0));
    assert!(enqueued > 2_000, "{enqueued}");
}
