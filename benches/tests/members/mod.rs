//! Consumers that join, leave, are killed and hang during a run.

use std::time::Duration;

use benches::{metrics, process::Program};
use rustix::process::Signal;
use shared::ledger::RunSummary;

use super::scenario::{Scenario, TIMEOUT, stored_in};

/// All `due` orders of the run were acknowledged, except for those that a busy machine can't send in time.
fn assert_acknowledged(run: &RunSummary, due: u64) {
    let counts = run.counts;
    assert_eq!((counts.scheduled, counts.acknowledged + counts.skipped), (due, due), "{counts:?}");
}

#[tokio::test]
async fn another_consumer_takes_over_from_one_that_was_killed_and_every_order_is_stored_once() {
    let mut scenario = Scenario::start("takeover", 500, "8s", 2).await;
    let run = scenario.produce_and(1_000, async |programs| programs.take_consumer().kill().unwrap()).await;
    assert_acknowledged(&run, 4_000);
    scenario.assert_complete(&run).await;
    scenario.end().await;
}

#[tokio::test]
#[ignore = "half a minute: run by deploy/test --long"]
async fn consumers_killed_again_and_again_lose_nothing_and_store_nothing_twice() {
    let mut scenario = Scenario::start("killed_often", 500, "16s", 3).await;
    let database = scenario.bed.database.clone();
    let run = scenario
        .produce_and(500, async |programs| {
            for round in 1..=4 {
                programs.take_consumer().kill().unwrap();
                programs.add_consumer().unwrap();
                let enough = async || stored_in(&database).await >= 500 + round * 1_000;
                testbed::eventually("orders are stored", TIMEOUT, enough).await;
            }
        })
        .await;
    assert_acknowledged(&run, 8_000);
    scenario.assert_complete(&run).await;
    scenario.end().await;
}

#[tokio::test]
#[ignore = "half a minute: run by deploy/test --long"]
async fn a_group_that_goes_from_one_to_nine_and_back_to_two_stores_everything_and_reads_nothing_twice() {
    let mut scenario = Scenario::start("one_nine_two", 500, "25s", 1).await;
    let run = scenario
        .produce_and(500, async |programs| {
            (0..8).for_each(|_| programs.add_consumer().unwrap());
            programs.wait_for_partitions_each(1).await.unwrap();
            let leaving: Vec<_> = (0..7).map(|_| programs.take_consumer()).collect();
            leaving.iter().for_each(|consumer| consumer.request_stop().unwrap());
            let left = tokio::task::spawn_blocking(move || leaving.into_iter().try_for_each(Program::wait_for_success));
            left.await.unwrap().unwrap();
        })
        .await;
    scenario.assert_complete(&run).await;
    let last = scenario.programs.counts().await.unwrap();
    assert_eq!((last.duplicates, last.consumed), (0, last.stored), "{last:?}");
    scenario.end().await;
}

/// The statement that it has sent commits while its partitions have another owner already.
#[tokio::test]
#[ignore = "half a minute: run by deploy/test --long"]
async fn a_consumer_that_hangs_during_an_insert_and_resumes_after_the_reassignment_harms_no_order() {
    let mut scenario = Scenario::start("hangs", 500, "25s", 2).await;
    let sql = scenario.bed.sql().await;
    let run = scenario
        .produce_and(500, async |programs| {
            sql.batch_execute("BEGIN; LOCK TABLE orders IN SHARE MODE").await.unwrap();
            let waiting = "SELECT count(*) FROM pg_locks WHERE database = (SELECT oid FROM pg_database WHERE datname = \
                           current_database()) AND NOT granted";
            let inserts_wait = async || sql.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) >= 4;
            testbed::eventually("both insert", TIMEOUT, inserts_wait).await;
            let (hanging, _) = programs.consumer(0);
            hanging.signal(Signal::STOP).unwrap();
            let (_, other) = programs.consumer(1);
            let all = async || metrics::value(other, consumer::metrics::ASSIGNED).await.unwrap_or(0.0) == 9.0;
            testbed::eventually("the other has all partitions", TIMEOUT, all).await;
            sql.batch_execute("COMMIT").await.unwrap();
            let stored = async || metrics::value(other, consumer::metrics::STORED).await.unwrap_or(0.0) > 500.0;
            testbed::eventually("the other stores", TIMEOUT, stored).await;
            programs.consumer(0).0.signal(Signal::CONT).unwrap();
            programs.wait_for_partitions_each(2).await.unwrap();
        })
        .await;
    scenario.assert_complete(&run).await;
    scenario.end().await;
}

/// The consumer polls while it waits for the database, so that it stays a member of the group.
#[tokio::test]
#[ignore = "half a minute: run by deploy/test --long"]
async fn an_insert_longer_than_the_maximum_poll_interval_costs_no_membership() {
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
    scenario.assert_complete(&run).await;
    assert_eq!(scenario.programs.counts().await.unwrap().duplicates, 0);
    let log = scenario.programs.consumer(0).0.log();
    assert!(!log.contains("partitions lost") && log.matches("partitions assigned").count() == 1, "{log}");
    scenario.end().await;
}
