//! A seed has the same orders in each version of the producer.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::{sync::Arc, time::Instant};

use clap::Parser;
use producer::{
    generate::Encoder,
    lifecycle::{self, PlannedChange, Plans},
    pace::Next,
    sample,
    settings::{Command, RunPlan},
};
use shared::{order::PlacedStatus, order_id::RunTag};

/// When the run starts, in nanoseconds since 1970: 2026-01-31T09:00:00Z.
const START: u64 = 1_769_850_000_000_000_000;

/// The due time, in nanoseconds after the start, and the value of each order.
async fn orders(arguments: &[&str]) -> String {
    let common = ["producer", "--source", "builtin", "--seed", "7", "--rate", "1000"];
    let command = Command::parse_from(common.iter().chain(arguments));
    let RunPlan { seed, mut pacer, source, .. } = command.plan().unwrap();
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

/// The histories of the first orders: number, status, and each change with its reason and its time after the order.
#[test]
fn the_histories_of_a_seed_are_those_of_earlier_versions() {
    let lifecycle = Arc::new(lifecycle::read("default.toml", lifecycle::default_text()).unwrap());
    let mut plans = Plans::new(lifecycle, 7);
    let mut lines = String::new();
    for number in (0..20).chain([1_000_000, (1 << 38) - 1]) {
        for placed in [PlacedStatus::Paid, PlacedStatus::PaymentPending] {
            lines += &format!("{number} {}", placed.as_str());
            for PlannedChange { status, reason, after } in plans.history(number, placed) {
                lines += &format!(", {status} {reason} {after}");
            }
            lines.push('\n');
        }
    }
    assert_same(&lines, include_str!("golden/histories.txt"));
}

/// Digest of the first due times of a shape: FNV-1a of their bytes.
fn digest_of_due_times(arguments: &[&str]) -> u64 {
    let common = ["producer", "--source", "builtin", "--seed", "7"];
    let command = Command::parse_from(common.iter().chain(arguments));
    let mut pacer = command.plan().unwrap().pacer;
    let due = std::iter::from_fn(|| match pacer.next(1_000_000_000_000_000) {
        Next::Send(order) => Some(order.due),
        _ => None,
    });
    let bytes = due.take(50_000).flat_map(u64::to_le_bytes);
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

#[test]
fn the_due_times_of_a_shape_are_those_of_earlier_versions() {
    let catch_up = ["--catch-up", "100years"];
    for (arguments, expected) in [
        (&["--rate", "0.3", "--count", "100"][..], 0xbf12_4846_c212_dffe),
        (&["--rate", "777.7", "--duration", "60s", "--warm-up", "3333ms"], 0xab90_88f3_ee18_c162),
        (&["--rate", "1k", "--ramp-up", "7s", "--duration", "20s"], 0xd058_3b19_d3eb_b258),
        (&["--rate", "1k", "--ramp-up", "7s", "--duration", "20s", "--warm-up", "1300us"], 0x126b_3cf3_4003_9d31),
        (&["--steps", "500:1501ms,1k:700us,2k:3s"], 0xef8f_856c_c4a1_60b1),
        (&["--steps", "33.3:10s,1k:5s", "--warm-up", "777ms"], 0x56bf_ff49_f19b_adc4),
        (&["--rate", "100", "--burst", "70@900ms", "--duration", "30s"], 0x5a12_c951_74dd_66f1),
        (&["--rate", "333", "--arrival", "poisson", "--duration", "60s"], 0x6ffe_da89_0fa8_02f3),
        (&["--rate", "1k", "--ramp-up", "7s", "--arrival", "poisson", "--duration", "20s"], 0xa223_0aef_0bd6_f985),
        (
            &["--steps", "33.3:10s,1k:5s", "--warm-up", "777ms", "--arrival", "poisson", "--burst", "5@1s"],
            0xefb9_a473_0976_a3ce,
        ),
    ] {
        let found = digest_of_due_times(&[arguments, &catch_up].concat());
        assert_eq!(found, expected, "{arguments:?}: --seed promises the same due times in each version");
    }
}
