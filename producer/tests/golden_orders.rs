//! A seed has the same orders in each version of the producer.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::time::Instant;

use clap::Parser;
use producer::{
    generate::Encoder,
    pace::Next,
    sample,
    settings::{Command, RunPlan},
};
use shared::order_id::RunTag;

/// When the run starts, in nanoseconds since 1970: 2026-01-31T09:00:00Z.
const START: u64 = 1_769_850_000_000_000_000;

/// The due time, in nanoseconds after the start, and the value of each order.
async fn orders(arguments: &[&str]) -> String {
    let common = ["producer", "--source", "builtin", "--seed", "7", "--rate", "1000"];
    let command = Command::parse_from(common.iter().chain(arguments));
    let RunPlan { seed, mut pacer, source } = command.plan().unwrap();
    let samples = sample::open(&source, &command.cache, 500, seed).await.unwrap().samples;
    let mut encoder = Encoder::new(RunTag::random(), samples, seed, command.orders.invalid);
    let mut lines = String::new();
    while let Next::Send(order) = pacer.next(1_000_000_000) {
        encoder.encode(order.number, START + order.due, Instant::now()).unwrap();
        lines += &format!("{} {}\n", order.due, String::from_utf8_lossy(encoder.value()));
    }
    lines
}

fn assert_same(found: &str, stored: &str) {
    assert!(
        found == stored,
        "seed 7 has other orders than in earlier versions: --seed promises the same ones. A dependency may have \
         changed an algorithm. Found:\n{found}\nBefore:\n{stored}"
    );
}

#[tokio::test]
async fn the_first_orders_of_a_seed_are_those_of_earlier_versions() {
    assert_same(&orders(&["--count", "10"]).await, include_str!("golden/uniform.txt"));
}

#[tokio::test]
async fn so_are_poisson_arrivals_popular_rows_and_invalid_orders() {
    let arguments = ["--count", "20", "--arrival", "poisson", "--skew", "1.1", "--invalid", "20%"];
    assert_same(&orders(&arguments).await, include_str!("golden/skewed.txt"));
}
