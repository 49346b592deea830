//! A server dies or hangs in the middle of a run, and comes back: nothing is lost, and nothing needs a restart of ours.
//!
//! These run one at a time on a stack of their own, whose name is in `ORDERFLOW_TEST_STACK`: `deploy/test` runs those in
//! `short`, with `--faults` those in `more`, with `--long` those in `long`.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod scenario;

use std::{process::Command, time::Duration};

use scenario::Scenario;
use shared::ledger::{RunSummary, Verdict};

async fn stack(arguments: &[&str]) {
    let name = std::env::var("ORDERFLOW_TEST_STACK").expect("ORDERFLOW_TEST_STACK names the stack that may be broken");
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/stack"));
    command.args(["--name", &name]).args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A run of `duration` at 500 orders a second, with `fault` done to the stack for `lasting`, then undone.
async fn survives(test: &str, duration: &str, fault: &[&str], lasting: Duration, undo: &[&str]) -> RunSummary {
    let mut scenario = Scenario::start(test, 500, duration, 2).await;
    let run = scenario
        .produce_and(1_000, async |_| {
            stack(fault).await;
            tokio::time::sleep(lasting).await;
            stack(undo).await;
        })
        .await;
    assert_ne!(run.verdict, Verdict::Lossy, "{run:?}");
    scenario.assert_whole(&run).await;
    scenario.end().await;
    run
}

/// Orders were sent in time, and what the stall cost them is in the latency from when they were due.
fn assert_stall_is_seen(run: &RunSummary, stall: Duration) {
    assert!(run.acknowledgement_ms.max >= stall.as_secs_f64() * 1_000.0, "{run:?}");
    assert!(run.lateness_ms.p99 < 250.0 && run.counts.skipped == 0, "{run:?}");
}

const SHORT: Duration = Duration::from_secs(4);
const LONG: Duration = Duration::from_secs(60);

mod short {
    use super::*;

    #[tokio::test]
    async fn a_killed_broker_loses_nothing() {
        let run = survives("broker_killed", "10s", &["kill", "kafka-2"], SHORT, &["start", "kafka-2"]).await;
        assert_stall_is_seen(&run, Duration::from_secs(2));
    }

    #[tokio::test]
    async fn a_killed_database_loses_nothing() {
        survives("postgres_killed", "10s", &["kill", "postgres"], SHORT, &["start", "postgres"]).await;
    }

    #[tokio::test]
    async fn a_paused_redis_holds_nothing_up() {
        let run = survives("redis_paused", "10s", &["pause", "redis"], SHORT, &["resume", "redis"]).await;
        assert_eq!(run.verdict, Verdict::Valid, "{run:?}");
    }
}

mod more {
    use super::*;

    #[tokio::test]
    async fn a_broker_away_for_20_s_loses_nothing_and_the_stall_is_seen() {
        let away = Duration::from_secs(20);
        let run = survives("broker_20s", "30s", &["kill", "kafka-2"], away, &["start", "kafka-2"]).await;
        assert_stall_is_seen(&run, Duration::from_secs(3));
    }

    #[tokio::test]
    async fn a_paused_broker_loses_nothing() {
        survives("broker_paused", "15s", &["pause", "kafka-1"], SHORT, &["resume", "kafka-1"]).await;
    }

    #[tokio::test]
    async fn a_stopped_broker_loses_nothing() {
        survives("broker_stopped", "12s", &["stop", "kafka-3"], SHORT, &["start", "kafka-3"]).await;
    }

    #[tokio::test]
    async fn a_paused_database_loses_nothing() {
        survives("postgres_paused", "10s", &["pause", "postgres"], SHORT, &["resume", "postgres"]).await;
    }

    #[tokio::test]
    async fn a_killed_backend_loses_nothing() {
        survives("backend_killed", "10s", &["kill", "postgres", "--backend"], SHORT, &["status"]).await;
    }

    #[tokio::test]
    async fn a_killed_redis_holds_nothing_up() {
        let run = survives("redis_killed", "10s", &["kill", "redis"], SHORT, &["start", "redis"]).await;
        assert_eq!(run.verdict, Verdict::Valid, "{run:?}");
    }
}

mod long {
    use super::*;

    #[tokio::test]
    async fn a_broker_away_for_a_minute_loses_nothing() {
        survives("broker_long", "75s", &["kill", "kafka-2"], LONG, &["start", "kafka-2"]).await;
    }

    #[tokio::test]
    async fn a_database_away_for_a_minute_loses_nothing() {
        survives("postgres_long", "75s", &["stop", "postgres"], LONG, &["start", "postgres"]).await;
    }

    #[tokio::test]
    async fn a_database_that_hangs_for_a_minute_loses_nothing() {
        survives("postgres_hangs", "75s", &["pause", "postgres"], LONG, &["resume", "postgres"]).await;
    }
}
