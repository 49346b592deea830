//! The whole line on the real services, as its users run it, with consumers and producers that come, go and die.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod scenario;
mod secure;

use std::{collections::BTreeMap, process::Stdio, time::Duration};

use benches::{
    metrics,
    programs::{Program, command, free_address},
};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    consumer::{BaseConsumer, Consumer},
    message::{Header, Headers, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use rustix::process::Signal;
use scenario::{PATIENCE, Scenario, arguments, stored};
use shared::{
    kafka::ensure_topic,
    ledger::{Ledger, RunId, RunSummary, RunsDirectory},
    wire::EVENT_TYPE_HEADER,
};
use testbed::Testbed;

#[tokio::test]
async fn the_whole_line_stores_every_order_once_and_enriched_and_says_so() {
    let bed = Testbed::new("whole_line").await;
    let arguments = arguments(&bed, 500, "4s", 2);
    let mut loadtest = command("loadtest").unwrap();
    let output = loadtest.args(&arguments[1..]).args(["--output", "json"]).output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{log}"));
    for (figure, expected) in [
        ("acknowledged", 2_000),
        ("stored", 2_000),
        ("duplicates", 0),
        ("dead_lettered", 0),
        ("missing", 0),
        ("unexpected", 0),
    ] {
        assert_eq!(summary[figure], expected, "{figure}: {summary}");
    }
    // Whether a machine that runs tests side by side holds the rate is not for a test to say.
    let code = if summary["verdict"] == "valid" { 0 } else { 3 };
    assert_eq!(output.status.code(), Some(code), "{log}");
    assert!(summary["verdict"] == "valid" || summary["verdict"] == "producer-invalid", "{summary}");
    assert_eq!(summary["rate_asked"].as_f64(), Some(500.0));
    for percentile in ["p50", "p99", "max"] {
        assert!(summary["latency_ms"][percentile].as_f64().unwrap() > 0.0, "{summary}");
    }
    assert_eq!(summary["latency_ms"]["count"], 2_000);
    assert!(summary["run_id"].is_string() && summary["rate_achieved"].is_f64());
    assert_eq!(summary["sample"].as_array().unwrap().len(), 5);

    let lacking = "SELECT count(*) FROM orders WHERE '' IN (category, user_region, user_gender, user_age_group)";
    assert_eq!(bed.sql().await.query_one(lacking, &[]).await.unwrap().get::<_, i64>(0), 0);
    let wrong = "SELECT count(*) FROM orders o JOIN users u USING (user_id) JOIN products p USING (product_id) \
                 WHERE (user_region, user_gender, user_age_group, o.category) <> (region, gender, age_group, p.category) \
                 OR total_amount <> price * quantity - discount_amount + shipping_cost";
    assert_eq!(bed.sql().await.query_one(wrong, &[]).await.unwrap().get::<_, i64>(0), 0);
    assert_eq!(stored(&bed).await, 2_000);
}

#[tokio::test]
async fn another_consumer_takes_over_from_one_that_was_killed_and_nothing_is_missing_or_there_twice() {
    let mut scenario = Scenario::start("takeover", 500, "8s", 2).await;
    let run = scenario.produce_and(1_000, async |line| line.take_consumer().kill().unwrap()).await;
    assert_eq!(run.counts.acknowledged, 4_000);
    scenario.assert_whole(&run).await;
    scenario.end().await;
}

#[tokio::test]
async fn a_group_that_grows_and_shrinks_stores_everything_and_reads_nothing_twice() {
    let mut scenario = Scenario::start("grow_and_shrink", 500, "12s", 1).await;
    let run = scenario
        .produce_and(500, async |line| {
            line.add_consumer().unwrap();
            line.add_consumer().unwrap();
            line.wait_for_share(2).await.unwrap();
            for _ in 0..2 {
                let leaving = line.take_consumer();
                tokio::task::spawn_blocking(move || leaving.stop()).await.unwrap().unwrap();
            }
        })
        .await;
    scenario.assert_whole(&run).await;
    // Those that left balanced their accounts, or stopping them had failed; none of them stored anything again.
    let last = scenario.line.counts().await.unwrap();
    assert_eq!(last.duplicates, 0, "{last:?}");
    assert_eq!(last.consumed, last.stored);
    scenario.end().await;
}

#[tokio::test]
async fn a_killed_producers_run_can_be_audited() {
    let mut scenario = Scenario::start("killed_producer", 500, "4s", 1).await;
    let mut producer = command("producer").unwrap();
    let arguments = ["--rate", "500", "--run-id", "killed"];
    let mut child = producer
        .args(arguments)
        .envs(scenario.bed.environment())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    scenario::wait_until_stored(&scenario.bed, 1_000).await;
    child.kill().unwrap();
    child.wait().unwrap();
    scenario.drain().await;
    let run_id: RunId = "killed".parse().unwrap();
    let report = scenario.audit(run_id.clone()).await;
    assert!(report.is_balanced() && !report.finished, "{report:?}");
    assert!(report.acknowledged > 0 && report.stored >= report.acknowledged, "{report:?}");
    let ledgers = RunsDirectory { runs_dir: scenario.bed.runs() }.read(&run_id).unwrap();
    let Ledger { journal, summary, .. } = &ledgers[0];
    assert!(summary.is_none() && journal.failed.is_empty());
    scenario.end().await;
}

#[tokio::test]
async fn a_run_of_two_producers_with_orders_wrong_on_purpose_is_audited_as_one() {
    let mut scenario = Scenario::start("shared_run", 500, "4s", 2).await;
    let start_at = (chrono::Utc::now() + Duration::from_secs(5)).to_rfc3339();
    let producers = ["1/2", "2/2"].map(|instance| {
        let mut producer = command("producer").unwrap();
        let arguments =
            ["--rate", "500", "--count", "2000", "--invalid", "5%", "--run-id", "shared", "--output", "json"];
        producer
            .args(arguments)
            .args(["--start-at", &start_at, "--instance", instance])
            .envs(scenario.bed.environment());
        producer.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    });
    let mut invalid = 0;
    for producer in producers {
        let output = tokio::task::spawn_blocking(move || producer.wait_with_output()).await.unwrap().unwrap();
        let log = String::from_utf8_lossy(&output.stderr);
        let summary: RunSummary = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{log}"));
        assert_eq!(summary.counts.acknowledged, 1_000);
        invalid += summary.counts.invalid;
    }
    scenario.drain().await;
    let report = scenario.audit("shared".parse().unwrap()).await;
    assert!(report.is_balanced() && report.finished, "{report:?}");
    assert_eq!((report.producers, report.acknowledged), (2, 2_000));
    assert!((50..150).contains(&invalid), "{invalid}");
    assert_eq!((report.invalid, report.dead_lettered, report.stored), (invalid, invalid, 2_000 - invalid));

    std::fs::remove_dir_all(scenario.bed.runs().join("shared/1-of-2")).unwrap();
    let runs = RunsDirectory { runs_dir: scenario.bed.runs() };
    let error = runs.read(&"shared".parse().unwrap()).unwrap_err().to_string();
    assert!(error.contains("instance 1/2 is missing"), "{error}");
    scenario.end().await;
}

#[tokio::test]
async fn what_cannot_become_a_row_is_dead_lettered_whole_and_costs_no_other_order() {
    let bed = Testbed::new("dead_letters").await;
    ensure_topic(&bed.kafka, &bed.topic.orders()).await.unwrap();
    let order = |user: &str, quantity: i64| {
        format!(
            r#"{{"user_id":"{user}","product_id":"P000001","quantity":{quantity},"total_amount":1000,"shipping_cost":0,
            "discount_amount":0,"payment_method":"card","status":"paid","created_at":"2026-01-01T00:00:00Z"}}"#
        )
    };
    let good = |n: usize| (format!("good-{n}"), order("U00000001", 1), "order.placed.v1");
    let bad = [
        ("stranger".to_owned(), order("nobody", 1), "order.placed.v1"),
        ("broken".to_owned(), "{\"user_id\": ".to_owned(), "order.placed.v1"),
        ("newer".to_owned(), order("U00000001", 1), "order.placed.v2"),
        ("negative".to_owned(), order("U00000001", -1), "order.placed.v1"),
        ("x".repeat(51), order("U00000001", 1), "order.placed.v1"),
    ];
    let producer: FutureProducer = bed.kafka.client(&[("acks", "all")]).create().unwrap();
    for (key, value, event_type) in (0..200).map(good).chain(bad.clone()).chain((200..400).map(good)) {
        let headers = OwnedHeaders::new()
            .insert(Header { key: EVENT_TYPE_HEADER, value: Some(event_type) })
            .insert(Header { key: "trace", value: Some("kept") });
        // All in one partition, so that good and bad ones share a batch.
        let record = FutureRecord::to(&bed.topic.topic).partition(0).key(&key).payload(&value).headers(headers);
        producer.send(record, Duration::from_secs(10)).await.unwrap();
    }
    let consumer =
        Program::start("consumer", "consumer", ["--instance", "dlq-test"], &bed.environment(), bed.folder()).unwrap();
    scenario::wait_until_stored(&bed, 400).await;
    let letters = dead_letters(&bed, bad.len()).await;
    for (key, value, _) in &bad {
        let (payload, headers) = &letters[key];
        assert_eq!(payload, value);
        assert_eq!((headers["trace"].as_str(), headers["dlq-instance"].as_str()), ("kept", "dlq-test"));
        assert_eq!((headers["dlq-topic"].as_str(), headers["dlq-partition"].as_str()), (bed.topic.topic.as_str(), "0"));
    }
    let kind = |key: &str| letters[key].1["dlq-kind"].as_str();
    assert_eq!([kind("stranger"), kind("broken"), kind("newer")], ["unknown_user", "malformed", "unknown_type"]);
    assert_eq!((kind("negative"), letters["negative"].1["dlq-sqlstate"].as_str()), ("refused_by_table", "23514"));
    assert_eq!(kind(&"x".repeat(51)), "invalid_id");
    assert_eq!(letters["stranger"].1["dlq-offset"], "200");
    assert_eq!(stored(&bed).await, 400);
    tokio::task::spawn_blocking(move || consumer.stop()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_flood_of_dead_letters_waits_for_a_person_and_is_put_back_once_its_cause_is_gone() {
    let bed = Testbed::new("flood").await;
    ensure_topic(&bed.kafka, &bed.topic.orders()).await.unwrap();
    let producer: FutureProducer = bed.kafka.client(&[("acks", "all")]).create().unwrap();
    let order = r#"{"user_id":"newcomer","product_id":"P000001","quantity":1,"total_amount":1000,"shipping_cost":0,
        "discount_amount":0,"payment_method":"card","status":"paid","created_at":"2026-01-01T00:00:00Z"}"#;
    let keys: Vec<String> = (0..300).map(|n| format!("order-{n:03}")).collect();
    for key in &keys {
        let headers = OwnedHeaders::new().insert(Header { key: "trace", value: Some("kept") });
        let record = FutureRecord::to(&bed.topic.topic).key(key).payload(order).headers(headers);
        producer.send(record, Duration::from_secs(10)).await.unwrap();
    }
    let address = free_address().unwrap();
    let arguments = ["--listen".to_owned(), address.to_string()];
    let consumer = Program::start("consumer", "consumer", arguments, &bed.environment(), bed.folder()).unwrap();
    testbed::eventually("the flood is noticed", PATIENCE, async || consumer.log().contains("are a flood")).await;
    assert!(!metrics::is_ready(address).await);
    let dead_lettered = async || metrics::value(address, consumer::metrics::DEAD_LETTERED).await.unwrap_or(0.0);
    // Whole batches are counted once all of them went, so that fewer than the hundred that went may be counted.
    assert!(dead_lettered().await <= 100.0);
    let list = async |bed: &Testbed| {
        let mut dlq = command("consumer").unwrap();
        dlq.args(["dlq", "list", "--output", "json"]).envs(bed.environment());
        let output = tokio::task::spawn_blocking(move || dlq.output()).await.unwrap().unwrap();
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        let listing: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{log}"));
        listing["kinds"]["unknown_user"].clone()
    };
    assert_eq!(list(&bed).await["orders"], 100);

    consumer.signal(Signal::USR1).unwrap();
    testbed::eventually("the rest follows", PATIENCE, async || dead_lettered().await == 300.0).await;
    assert!(metrics::is_ready(address).await);
    let listed = list(&bed).await;
    assert_eq!((&listed["orders"], &listed["settled"]), (&300.into(), &0.into()), "{listed}");

    let replay = async |bed: &Testbed, arguments: &[&str]| {
        let mut dlq = command("consumer").unwrap();
        dlq.args(["dlq", "replay", "--output", "json"]).args(arguments).envs(bed.environment());
        let output = tokio::task::spawn_blocking(move || dlq.output()).await.unwrap().unwrap();
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        let replayed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{log}"));
        (replayed["replayed"].as_u64().unwrap(), replayed["settled"].as_u64().unwrap())
    };
    assert_eq!(replay(&bed, &["--kind", "malformed"]).await, (0, 0));
    assert_eq!(replay(&bed, &["--dry-run"]).await, (300, 0));
    // Too early: they come back.
    assert_eq!(replay(&bed, &["--limit", "10"]).await, (10, 0));
    testbed::eventually("they come back", PATIENCE, async || list(&bed).await["came_back"] == 10).await;
    assert_eq!(list(&bed).await["orders"], 300);
    let newcomer = "INSERT INTO users (user_id, name, gender, age, age_group, region, join_date) \
                    VALUES ('newcomer', 'x', 'U', 30, '30대', '서울', now())";
    bed.sql().await.batch_execute(newcomer).await.unwrap();
    // That nobody has this name is remembered for a moment.
    testbed::eventually("all are stored", PATIENCE, async || {
        replay(&bed, &["--max-replays", "1000"]).await;
        stored(&bed).await == 300
    })
    .await;
    assert_eq!(replay(&bed, &["--max-replays", "1000"]).await, (0, 300));
    let query = "SELECT count(DISTINCT order_id) FROM orders WHERE order_id LIKE 'order-%'";
    assert_eq!(bed.sql().await.query_one(query, &[]).await.unwrap().get::<_, i64>(0), 300);
    tokio::task::spawn_blocking(move || consumer.stop()).await.unwrap().unwrap();
}

type Letter = (String, BTreeMap<String, String>);

async fn dead_letters(bed: &Testbed, count: usize) -> BTreeMap<String, Letter> {
    let role = [("group.id", "reads-dead-letters"), ("auto.offset.reset", "earliest"), ("enable.auto.commit", "false")];
    let reader: BaseConsumer = bed.kafka.client(&role).set("group.id", format!("{}-dlq", bed.name)).create().unwrap();
    reader.subscribe(&[&bed.topic.dead_letter_topic()]).unwrap();
    let reading = tokio::task::spawn_blocking(move || {
        let (mut letters, until) = (BTreeMap::new(), std::time::Instant::now() + PATIENCE);
        while letters.len() < count && std::time::Instant::now() < until {
            let Some(Ok(record)) = reader.poll(Duration::from_millis(200)) else { continue };
            let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
            let headers = record.headers().unwrap().iter().map(|header| (header.key.to_owned(), text(header.value)));
            letters.insert(text(record.key()), (text(record.payload()), headers.collect()));
        }
        letters
    });
    let letters = reading.await.unwrap();
    assert_eq!(letters.len(), count, "{letters:?}");
    letters
}

#[tokio::test]
async fn records_deleted_before_they_were_read_are_named_and_end_the_consumer_unless_told_otherwise() {
    let bed = Testbed::new("gap").await;
    ensure_topic(&bed.kafka, &bed.topic.orders()).await.unwrap();
    let producer: FutureProducer = bed.kafka.client(&[("acks", "all")]).create().unwrap();
    let order = r#"{"user_id":"U00000001","product_id":"P000001","quantity":1,"total_amount":1000,"shipping_cost":0,
        "discount_amount":0,"payment_method":"card","status":"paid","created_at":"2026-01-01T00:00:00Z"}"#;
    let send = async |numbers: std::ops::Range<i64>| {
        for n in numbers {
            let key = format!("order-{n:03}");
            let record = FutureRecord::to(&bed.topic.topic).partition(0).key(&key).payload(order);
            producer.send(record, Duration::from_secs(10)).await.unwrap();
        }
    };
    let start =
        |arguments: &[&str]| Program::start("consumer", "consumer", arguments, &bed.environment(), bed.folder());
    send(0..5).await;
    let first = start(&[]).unwrap();
    scenario::wait_until_stored(&bed, 5).await;
    tokio::task::spawn_blocking(move || first.stop()).await.unwrap().unwrap();

    send(5..20).await;
    let admin: AdminClient<_> = bed.kafka.client(&[]).create().unwrap();
    let mut deleted = TopicPartitionList::new();
    deleted.add_partition_offset(&bed.topic.topic, 0, Offset::Offset(12)).unwrap();
    admin.delete_records(&deleted, &AdminOptions::new()).await.unwrap();

    let mut second = start(&[]).unwrap();
    let (status, log) = tokio::task::spawn_blocking(move || (second.wait(PATIENCE), second.log())).await.unwrap();
    assert_eq!(status.unwrap().code(), Some(1), "{log}");
    for words in ["partition 0 begins at offset 12", "up to 5 only: 7 records were deleted", "--on-gap continue"] {
        assert!(log.contains(words), "{words:?} is not in: {log}");
    }
    let third = start(&["--on-gap", "continue"]).unwrap();
    scenario::wait_until_stored(&bed, 13).await;
    testbed::eventually("the gap is named", PATIENCE, async || third.log().contains("7 records were deleted")).await;
    tokio::task::spawn_blocking(move || third.stop()).await.unwrap().unwrap();
    assert_eq!(stored(&bed).await, 5 + 8);
}

#[tokio::test]
async fn a_dead_letter_that_is_too_large_goes_without_what_makes_it_so_and_holds_nothing_up() {
    let bed = Testbed::new("large_letter").await;
    ensure_topic(&bed.kafka, &bed.topic.orders()).await.unwrap();
    // As large as the topic of the orders takes; the dead letter's own headers come on top.
    let producer: FutureProducer = bed.kafka.client(&[("message.max.bytes", "2000000")]).create().unwrap();
    let mut random = String::new();
    while random.len() < 900_000 {
        random += &format!("{:x}", rand::random::<u128>());
    }
    let send = async |key: &str, value: &str, header: &str| {
        let headers = OwnedHeaders::new().insert(Header { key: "large", value: Some(header) });
        let record = FutureRecord::to(&bed.topic.topic).partition(0).key(key).payload(value).headers(headers);
        producer.send(record, Duration::from_secs(10)).await.unwrap();
    };
    send("large-value", &format!("{{\"payment_method\": \"{random}\"}}"), "").await;
    send("large-header", "{", &random).await;
    let good = r#"{"user_id":"U00000001","product_id":"P000001","quantity":1,"total_amount":1000,"shipping_cost":0,
        "discount_amount":0,"payment_method":"card","status":"paid","created_at":"2026-01-01T00:00:00Z"}"#;
    send("good", good, "").await;
    let consumer = Program::start("consumer", "consumer", [""; 0], &bed.environment(), bed.folder()).unwrap();
    scenario::wait_until_stored(&bed, 1).await;
    let letters = dead_letters(&bed, 2).await;
    assert!(letters.values().all(|(_, headers)| headers["dlq-message"].len() <= 4_000));
    tokio::task::spawn_blocking(move || consumer.stop()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_database_without_the_tables_is_named_by_every_program_that_needs_them() {
    let bed = Testbed::new("no_tables").await;
    bed.sql().await.batch_execute("DROP TABLE orders, users, products").await.unwrap();
    for (program, arguments) in [("consumer", &[][..]), ("cache-worker", &["--once"]), ("orderdb", &["seed"])] {
        let output = command(program).unwrap().args(arguments).envs(bed.environment()).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{program}: {message}");
        assert!(message.contains("run `orderdb migrate up` first"), "{program}: {message}");
    }
}

#[tokio::test]
async fn a_stop_in_the_middle_of_a_run_loses_nothing_and_exits_well() {
    let mut scenario = Scenario::start("graceful_stop", 500, "5s", 1).await;
    let run = scenario
        .produce_and(500, async |line| {
            let consumer = line.take_consumer();
            consumer.signal(Signal::INT).unwrap();
            tokio::task::spawn_blocking(move || consumer.finish()).await.unwrap().unwrap();
            line.add_consumer().unwrap();
        })
        .await;
    scenario.assert_whole(&run).await;
    assert_eq!(scenario.line.counts().await.unwrap().duplicates, 0);
    scenario.end().await;
}
