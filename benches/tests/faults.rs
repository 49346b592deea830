//! A server is killed or paused during a run, and works again later: no order is lost, no program needs a restart.
//!
//! The tests run one after the other on a stack of their own; `ORDERFLOW_TEST_STACK` has its name. `deploy/test` runs
//! the tests in `short`, with `--faults` those in `more`, with `--long` those in `long`.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod failover;
mod frozen;
mod injector;
mod reported_run;
mod scenario;
mod servers;

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use benches::{
    fault::{Fault, Target},
    metrics,
    process::{Program, command, free_address},
    scenario::TimedFault,
};
use injector::{Injection, test_stack, timed};
use orderdb::audit::{digest::Digester, topic::read_records};
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    producer::{FutureProducer, FutureRecord},
};
use reported_run::{assert_balanced, assert_is_measured, end, faults, loadtest_run, processes_of, report};
use scenario::{Scenario, TIMEOUT};
use shared::{
    cache,
    kafka::ensure_topic,
    ledger::{RunSummary, RunsFolder, Verdict, read_journal},
};
use testbed::Testbed;

/// A command of the stack that may be broken.
async fn stack(arguments: &[&str]) {
    test_stack().run(arguments).await.unwrap();
}

/// A run of `duration` at 500 orders per second, with a fault of `lasting` once 1,000 orders are stored.
async fn run_with_fault(test: &str, duration: &str, fault: Fault, lasting: impl Into<Option<Duration>>) -> RunSummary {
    let mut scenario = Scenario::start(test, 500, duration, 2).await;
    let faults = [TimedFault { at: Duration::ZERO, lasting: lasting.into(), fault }];
    let injection = Injection::new(&scenario.bed, &faults).await;
    let run = scenario.produce_and(1_000, async |_| injection.run_without_error(&faults).await).await;
    assert_ne!(run.verdict, Verdict::Lossy, "{run:?}");
    scenario.assert_complete(&run).await;
    scenario.end().await;
    run
}

/// The stall is in the latency from due to acknowledged, and no order was sent later for it.
fn assert_stall_is_measured(run: &RunSummary, stall: Duration) {
    let stall_ms = stall.as_secs_f64() * 1_000.0;
    assert!(run.acknowledgement_ms.max >= stall_ms, "{run:?}");
    assert!(run.lateness_ms.p99 < stall_ms / 2.0 && run.counts.skipped == 0, "{run:?}");
}

/// The dead-letter topic needs all three brokers, and one of them is killed for `lasting`: the consumer is not ready
/// meanwhile, does not end, and all dead letters arrive afterwards.
async fn dead_letters_wait_for_a_broker(test: &str, lasting: Duration) {
    let bed = Testbed::new(test).await;
    ensure_topic(&bed.kafka, &bed.topic.orders()).await.unwrap();
    let admin: AdminClient<DefaultClientContext> = bed.kafka.client(&[]).create().unwrap();
    let name = bed.topic.dead_letter_topic();
    let dead_letters = NewTopic::new(&name, 9, TopicReplication::Fixed(3)).set("min.insync.replicas", "3");
    admin.create_topics([&dead_letters], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    let address = free_address().unwrap();
    // Far less than the outage lasts.
    let arguments = ["--listen", &address.to_string(), "--stuck-after", "10s"];
    let mut consumer = Program::start("consumer", "consumer", arguments, &bed.environment(), bed.folder()).unwrap();
    testbed::eventually("it is ready", TIMEOUT, async || metrics::is_ready(address).await).await;
    stack(&["kill", "kafka-2"]).await;
    let producer: FutureProducer = bed.kafka.client(&[("acks", "all")]).create().unwrap();
    let send = async |key: String, value: &str| {
        producer.send(FutureRecord::to(&bed.topic.topic).key(&key).payload(value), TIMEOUT).await.unwrap();
    };
    for number in 0..50 {
        send(format!("good-{number}"), testbed::ORDER_VALUE).await;
        send(format!("bad-{number}"), "{").await;
    }
    let is_waiting = async || consumer.log().contains("records are not acknowledged");
    testbed::eventually("the outage is reported", TIMEOUT, is_waiting).await;
    let until = Instant::now() + lasting;
    while Instant::now() < until {
        consumer.ensure_running().unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(!metrics::is_ready(address).await);
    stack(&["start", "kafka-2"]).await;
    let dead_lettered = async || metrics::value(address, consumer::metrics::DEAD_LETTERED).await.unwrap_or(0.0);
    testbed::eventually("all are dead-lettered", TIMEOUT, async || dead_lettered().await == 50.0).await;
    scenario::wait_until_stored(&bed, 50).await;
    testbed::eventually("it is ready again", TIMEOUT, async || metrics::is_ready(address).await).await;
    let log = consumer.log();
    assert_eq!(log.matches("records are not acknowledged").count(), 1, "{log}");
    assert!(log.contains("dead-letter topic: working again") && !log.contains("is stuck"), "{log}");
    tokio::task::spawn_blocking(move || consumer.stop()).await.unwrap().unwrap();
}

const SHORT: Duration = Duration::from_secs(4);
const LONG: Duration = Duration::from_secs(60);

mod short {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_stop_brings_the_servers_back_before_the_programs() {
        servers::a_stop_brings_the_servers_back_before_the_programs().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_failover_to_a_standby_loses_nothing() {
        failover::orders_go_to_the_new_primary_and_none_is_lost().await;
    }

    #[tokio::test]
    async fn a_killed_broker_loses_nothing() {
        let run = run_with_fault("broker_killed", "20s", Fault::Kill(Target::Broker(2)), SHORT).await;
        assert_stall_is_measured(&run, Duration::from_secs(2));
    }

    /// From the scenario to the report.
    #[tokio::test]
    async fn the_short_scenario_with_a_killed_consumer_and_a_paused_database_loses_nothing_and_reports_both() {
        let bed = Testbed::new("short_scenario").await;
        let name = std::env::var("ORDERFLOW_TEST_STACK").unwrap();
        let running = loadtest_run(&bed, "short").args(["--stack", &name]).spawn().unwrap();
        let output = end(running).await;
        let (folder, report, log) = report(&bed, &output);
        assert_eq!(output.status.code(), Some(0), "{}: {log}", report["verdict"]);
        assert_balanced(&report, 5 * 300 + 45 * 500);
        let faults = faults(&report);
        let names: Vec<&str> = faults.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, ["kill consumer-2", "pause postgres"]);
        for ((name, began, ended), lasting) in faults.iter().zip([3, 2]) {
            let lasted = (*ended - *began).to_std().unwrap();
            assert!(lasted >= Duration::from_secs(lasting), "{name}: {lasted:?}");
        }
        // On a slow machine a figure may not recover before the end.
        for fault in report["faults"].as_array().unwrap() {
            assert!(fault["recovery"].is_object(), "{fault}");
        }
        assert_is_measured(&report, &["consumer-1", "consumer-2", "consumer-3", "producer-1", "cache-worker"]);
        assert!(std::fs::read_to_string(folder.join("report.html")).unwrap().contains("pause postgres"));
        assert_eq!(processes_of(&folder), Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_redis_that_restarts_empty_is_full_again_within_two_seconds() {
        let bed = Testbed::new("redis_emptied").await;
        let arguments = ["--interval", "1h"];
        let worker =
            Program::start("cache-worker", "cache-worker", arguments, &bed.environment(), bed.folder()).unwrap();
        let users = async || -> usize {
            let Ok(mut redis) = bed.cache.connect(Duration::from_secs(1)).await else { return 0 };
            cache::contents(&mut redis, &bed.keys()).await.map_or(0, |contents| contents.users)
        };
        testbed::eventually("the cache is filled", SHORT * 5, async || users().await == 1_000).await;
        let marks = "SELECT md5(string_agg(last_cached_at::text, '' ORDER BY user_id)) FROM users";
        let marked = async || bed.sql().await.query_one(marks, &[]).await.unwrap().get::<_, String>(0);
        let before = marked().await;
        // Longer than the client retries to connect: the cache-worker must notice the new server nevertheless.
        let faults = [TimedFault { at: Duration::ZERO, lasting: Some(SHORT), fault: Fault::Kill(Target::Redis) }];
        Injection::new(&bed, &faults).await.run_without_error(&faults).await;
        let started = Instant::now();
        testbed::eventually("the cache is filled again", SHORT * 5, async || users().await == 1_000).await;
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}: {}", started.elapsed(), worker.log());
        assert_eq!(marked().await, before, "no last_cached_at changed");
        worker.stop().unwrap();
    }

    /// All brokers are paused while orders are in flight, for longer than the flush timeout.
    #[tokio::test]
    async fn orders_in_flight_at_the_flush_timeout_are_failed_or_unknown_and_the_topic_agrees() {
        let bed = Testbed::new("flush_timeout").await;
        testbed::fill_cache(&bed).await;
        let mut producer = command("producer").unwrap();
        producer.args([
            "--rate",
            "500",
            "--duration",
            "8s",
            "--catch-up",
            "1s",
            "--flush-timeout",
            "2s",
            "--run-id",
            "r",
        ]);
        producer.args(["--kafka-config", "queue.buffering.max.messages=600", "--output", "json"]);
        let child = producer.envs(bed.environment()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let journal = bed.runs().join("r/acknowledged.journal");
        let has_begun = async || read_journal(&journal).is_ok_and(|journal| !journal.is_empty());
        testbed::eventually("orders are acknowledged", Duration::from_secs(30), has_begun).await;
        let brokers = ["kafka-1", "kafka-2", "kafka-3"];
        stack(&[&["pause"][..], &brokers].concat()).await;
        let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
        stack(&[&["resume"][..], &brokers].concat()).await;

        let log = String::from_utf8_lossy(&output.stderr);
        let run: RunSummary = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{log}"));
        let counts = run.counts;
        assert_eq!((run.verdict, output.status.code()), (Verdict::Lossy, Some(3)), "{run:?}");
        assert!(counts.failed > 0 && counts.unknown > 0 && counts.skipped > 0 && run.queue_full > 0, "{run:?}");
        assert_eq!(counts.scheduled, counts.enqueued + counts.skipped);
        assert_eq!(counts.scheduled, 4_000, "what waits for a full queue is skipped, and the schedule ends in time");
        let ledger = RunsFolder { runs_dir: bed.runs() }.read(&run.run_id).unwrap().remove(0);
        let (kafka, topic, tag, from) =
            (bed.kafka.clone(), bed.topic.topic.clone(), ledger.run.tag, ledger.run.started_at);
        let reading = move || read_records(&kafka, &topic, &[tag], from, &Digester::default()).unwrap();
        let in_topic = tokio::task::spawn_blocking(reading);
        let in_topic = in_topic.await.unwrap().orders.numbers;
        assert!(ledger.journal.acknowledged.is_subset(&in_topic), "{run:?}");
        assert!(ledger.journal.failed.is_disjoint(&in_topic), "an order in the topic is counted as failed");
        assert!((in_topic - ledger.journal.acknowledged).len() <= counts.unknown, "{run:?}");
    }
}

mod more {
    use super::*;

    #[tokio::test]
    async fn a_killed_database_loses_nothing() {
        run_with_fault("postgres_killed", "10s", Fault::Kill(Target::Postgres), SHORT).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_second_broker_is_not_broken_while_another_one_is_down() {
        servers::a_second_broker_is_not_broken_while_another_one_is_down().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_server_is_broken_for_the_time_of_its_fault_and_ready_afterwards() {
        servers::a_server_is_broken_for_the_time_of_its_fault_and_ready_afterwards().await;
    }

    #[tokio::test]
    async fn a_paused_redis_delays_no_order() {
        let run = run_with_fault("redis_paused", "10s", Fault::Pause(Target::Redis), SHORT).await;
        assert_eq!(run.verdict, Verdict::Valid, "{run:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_broker_behind_a_broken_link_loses_nothing_and_is_reached_through_its_proxy_only() {
        servers::a_broker_behind_a_broken_link_loses_nothing_and_is_reached_through_its_proxy_only().await;
    }

    /// Brokers before Kafka 4.0 do not have the protocol.
    #[tokio::test]
    async fn brokers_without_the_consumer_group_protocol_work_by_default_and_end_a_consumer_that_requires_it() {
        let features = ["kafka-tool", "kafka-features"];
        stack(&[&features[..], &["downgrade", "--feature", "group.version=0"]].concat()).await;
        let mut scenario = Scenario::start("classic", 500, "4s", 2).await;
        let run = scenario.produce_and(500, async |programs| drop(programs.take_consumer())).await;
        scenario.assert_complete(&run).await;
        let arguments = ["--group-protocol", "consumer", "--group", "another"];
        let mut asking =
            Program::start("asking", "consumer", arguments, &scenario.bed.environment(), scenario.bed.folder())
                .unwrap();
        let (status, log) = tokio::task::spawn_blocking(move || (asking.wait(TIMEOUT), asking.log())).await.unwrap();
        assert_eq!(status.unwrap().code(), Some(1), "{log}");
        assert!(log.contains("use --group-protocol classic or auto"), "{log}");
        scenario.end().await;
        stack(&[&features[..], &["upgrade", "--feature", "group.version=1"]].concat()).await;
    }

    #[tokio::test]
    async fn a_broker_down_for_20_s_loses_nothing_and_the_stall_is_measured() {
        let down = Duration::from_secs(20);
        let run = run_with_fault("broker_20s", "30s", Fault::Kill(Target::Broker(2)), down).await;
        assert_stall_is_measured(&run, Duration::from_secs(3));
    }

    #[tokio::test]
    async fn a_paused_broker_loses_nothing() {
        run_with_fault("broker_paused", "15s", Fault::Pause(Target::Broker(1)), SHORT).await;
    }

    #[tokio::test]
    async fn a_stopped_broker_loses_nothing() {
        run_with_fault("broker_stopped", "12s", Fault::Stop(Target::Broker(3)), SHORT).await;
    }

    #[tokio::test]
    async fn a_paused_database_loses_nothing() {
        run_with_fault("postgres_paused", "10s", Fault::Pause(Target::Postgres), SHORT).await;
    }

    #[tokio::test]
    async fn brokers_that_all_hang_make_a_consumer_not_ready_until_they_are_back() {
        let mut scenario = Scenario::start("brokers_hang", 500, "4s", 1).await;
        let (_, address) = scenario.programs.consumer(0);
        let brokers = ["kafka-1", "kafka-2", "kafka-3"];
        stack(&[&["pause"][..], &brokers].concat()).await;
        let is_ready = async || benches::metrics::is_ready(address).await;
        testbed::eventually("it is not ready", TIMEOUT, async || !is_ready().await).await;
        assert!(scenario.programs.consumer(0).0.log().contains("no broker answers"));
        // It loses its partitions at the end of the session timeout, and looks at the brokers every five seconds.
        let assigned = async || benches::metrics::value(address, consumer::metrics::ASSIGNED).await.unwrap();
        testbed::eventually("it has no partition", TIMEOUT, async || assigned().await == 0.0).await;
        let two_looks_later = Instant::now() + Duration::from_secs(15);
        while Instant::now() < two_looks_later {
            assert!(!is_ready().await, "{}", scenario.programs.consumer(0).0.log());
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        stack(&[&["resume"][..], &brokers].concat()).await;
        testbed::eventually("it is ready again", TIMEOUT, is_ready).await;
        let run = scenario.produce_and(500, async |_| {}).await;
        scenario.assert_complete(&run).await;
        scenario.end().await;
    }

    #[tokio::test]
    async fn a_database_paused_for_longer_than_the_maximum_poll_interval_costs_no_membership() {
        let interval = ["--kafka-config", "max.poll.interval.ms=6000"];
        let mut scenario = Scenario::start_with("postgres_poll", 500, "16s", 1, &interval).await;
        let faults = [timed(0, 9_000, Fault::Pause(Target::Postgres))];
        let injection = Injection::new(&scenario.bed, &faults).await;
        let run = scenario.produce_and(1_000, async |_| injection.run_without_error(&faults).await).await;
        scenario.assert_complete(&run).await;
        let log = scenario.programs.consumer(0).0.log();
        assert!(!log.contains("partitions lost") && log.matches("partitions assigned").count() == 1, "{log}");
        scenario.end().await;
    }

    #[tokio::test]
    async fn a_killed_backend_loses_nothing() {
        run_with_fault("backend_killed", "10s", Fault::KillBackend, None).await;
    }

    #[tokio::test]
    async fn dead_letters_wait_for_the_replicas_that_their_topic_needs() {
        dead_letters_wait_for_a_broker("dlq_replicas", Duration::from_secs(25)).await;
    }

    #[tokio::test]
    async fn a_killed_redis_delays_no_order() {
        let run = run_with_fault("redis_killed", "10s", Fault::Kill(Target::Redis), SHORT).await;
        assert_eq!(run.verdict, Verdict::Valid, "{run:?}");
    }
}

mod long {
    use super::*;

    #[tokio::test]
    async fn a_broker_down_for_a_minute_loses_nothing() {
        run_with_fault("broker_long", "75s", Fault::Kill(Target::Broker(2)), LONG).await;
    }

    #[tokio::test]
    async fn dead_letters_wait_for_three_minutes_for_the_replicas_that_their_topic_needs() {
        dead_letters_wait_for_a_broker("dlq_replicas_long", 3 * LONG).await;
    }

    #[tokio::test]
    async fn a_database_down_for_a_minute_loses_nothing() {
        run_with_fault("postgres_long", "75s", Fault::Stop(Target::Postgres), LONG).await;
    }

    #[tokio::test]
    async fn a_database_that_hangs_for_a_minute_loses_nothing() {
        run_with_fault("postgres_hangs", "75s", Fault::Pause(Target::Postgres), LONG).await;
    }

    #[tokio::test]
    async fn no_partition_is_without_an_owner_after_faults_with_the_classic_protocol() {
        frozen::partitions_have_an_owner_after_faults("classic").await;
    }

    #[tokio::test]
    async fn no_partition_is_without_an_owner_after_faults_with_the_consumer_protocol() {
        frozen::partitions_have_an_owner_after_faults("consumer").await;
    }
}
