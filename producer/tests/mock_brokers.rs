//! The sending thread with librdkafka's mock brokers, whose round trip a test can choose. No service is needed.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::time::{Duration, Instant};

use clap::Parser;
use producer::{
    clock::RunClock,
    generate::Encoder,
    sample,
    send::{
        client::{client, client_config},
        delivery::{DeliveryContext, DeliveryTracker},
        publisher::{Publisher, Sent},
        tally::Tally,
    },
    settings::Command,
};
use rdkafka::mocking::MockCluster;
use shared::order_id::RunTag;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Sends orders to a mock broker that answers each request after `round_trip`, in whole milliseconds.
async fn send(round_trip: Duration, arguments: &[&str]) -> (Sent, Tally) {
    let brokers = MockCluster::new(1).unwrap();
    brokers.create_topic("orders", 1, 1).unwrap();
    brokers.broker_round_trip_time(1, round_trip).unwrap();
    let bootstrap = brokers.bootstrap_servers();
    let common = ["producer", "--source", "builtin", "--builtin-users", "10", "--builtin-products", "10"];
    let command = Command::parse_from(common.iter().chain(&["--brokers", &bootstrap]).chain(arguments));
    let plan = command.plan().unwrap();
    let source = sample::open(&plan.source, &command.cache, 500, plan.seed).await.unwrap();
    let clock = RunClock { start: Instant::now(), started_at: chrono::Utc::now() };
    let tracker = DeliveryTracker::new(clock, command.load.warm_up);
    let context = DeliveryContext { tracker: tracker.clone(), statistics: watch::Sender::default() };
    let publisher = Publisher {
        client: client(&client_config(&command.kafka, command.load.is_paced()), context).unwrap(),
        clock,
        tracker: tracker.clone(),
        pacer: plan.pacer,
        encoder: Encoder::new(RunTag::random(), source.samples, plan.seed, command.orders.invalid),
        partitioner: None,
        topic: "orders".to_owned(),
        flush_timeout: command.load.flush_timeout,
    };
    let sent = tokio::task::spawn_blocking(move || publisher.run(&CancellationToken::new())).await.unwrap();
    (sent, tracker.take_tally())
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
