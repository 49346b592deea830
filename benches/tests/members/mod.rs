//! Consumers that come, go, die and hang while orders flow.

use std::time::Duration;

use benches::{metrics, programs::Program};
use rustix::process::Signal;

use super::scenario::{PATIENCE, Scenario, stored_in};

#[tokio::test]
async fn consumers_killed_again_and_again_lose_nothing_and_store_nothing_twice() {
    let mut scenario = Scenario::start("killed_often", 500, "16s", 3).await;
    let database = scenario.bed.database.clone();
    let run = scenario
        .produce_and(500, async |line| {
            for round in 1..=4 {
                line.take_consumer().kill().unwrap();
                line.add_consumer().unwrap();
                let enough = async || stored_in(&database).await >= 500 + round * 1_000;
                testbed::eventually("orders are stored", PATIENCE, enough).await;
            }
        })
        .await;
    assert_eq!(run.counts.acknowledged, 8_000);
    scenario.assert_whole(&run).await;
    scenario.end().await;
}

#[tokio::test]
async fn a_group_that_goes_from_one_to_nine_and_back_to_two_stores_everything_and_reads_nothing_twice() {
    let mut scenario = Scenario::start("one_nine_two", 500, "25s", 1).await;
    let run = scenario
        .produce_and(500, async |line| {
            (0..8).for_each(|_| line.add_consumer().unwrap());
            line.wait_for_share(1).await.unwrap();
            let leaving: Vec<_> = (0..7).map(|_| line.take_consumer()).collect();
            leaving.iter().for_each(|consumer| consumer.ask_to_stop().unwrap());
            let left = tokio::task::spawn_blocking(move || leaving.into_iter().try_for_each(Program::finish));
            left.await.unwrap().unwrap();
        })
        .await;
    scenario.assert_whole(&run).await;
    let last = scenario.line.counts().await.unwrap();
    assert_eq!((last.duplicates, last.consumed), (0, last.stored), "{last:?}");
    scenario.end().await;
}

/// The statement that it had sent still commits, while its partitions have another owner.
#[tokio::test]
async fn a_consumer_that_hangs_in_the_middle_of_an_insert_and_comes_back_too_late_does_no_harm() {
    let mut scenario = Scenario::start("hangs", 500, "25s", 2).await;
    let sql = scenario.bed.sql().await;
    let run = scenario
        .produce_and(500, async |line| {
            sql.batch_execute("BEGIN; LOCK TABLE orders IN SHARE MODE").await.unwrap();
            let waiting = "SELECT count(*) FROM pg_locks WHERE database = (SELECT oid FROM pg_database WHERE datname = \
                           current_database()) AND NOT granted";
            let inserts_wait = async || sql.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) >= 4;
            testbed::eventually("both insert", PATIENCE, inserts_wait).await;
            let (hanging, _) = line.consumer(0);
            hanging.signal(Signal::STOP).unwrap();
            let (_, other) = line.consumer(1);
            let all = async || metrics::value(other, consumer::metrics::ASSIGNED).await.unwrap_or(0.0) == 9.0;
            testbed::eventually("the other has all partitions", PATIENCE, all).await;
            sql.batch_execute("COMMIT").await.unwrap();
            let stored = async || metrics::value(other, consumer::metrics::STORED).await.unwrap_or(0.0) > 500.0;
            testbed::eventually("the other stores", PATIENCE, stored).await;
            line.consumer(0).0.signal(Signal::CONT).unwrap();
            line.wait_for_share(2).await.unwrap();
        })
        .await;
    scenario.assert_whole(&run).await;
    scenario.end().await;
}

/// Polling goes on while the database is waited for, so the group has no reason to take the partitions away.
#[tokio::test]
async fn an_insert_that_takes_longer_than_a_poll_may_costs_no_membership() {
    let interval = ["--kafka-config", "max.poll.interval.ms=6000"];
    let mut scenario = Scenario::start_with("long_insert", 500, "6s", 1, &interval).await;
    let sql = scenario.bed.sql().await;
    let run = scenario
        .produce_and(500, async |_| {
            sql.batch_execute("BEGIN; LOCK TABLE orders IN SHARE MODE").await.unwrap();
            tokio::time::sleep(Duration::from_secs(9)).await;
            sql.batch_execute("COMMIT").await.unwrap();
        })
        .await;
    scenario.assert_whole(&run).await;
    assert_eq!(scenario.line.counts().await.unwrap().duplicates, 0);
    let log = scenario.line.consumer(0).0.log();
    assert!(!log.contains("partitions lost") && log.matches("partitions assigned").count() == 1, "{log}");
    scenario.end().await;
}
