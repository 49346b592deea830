//! Runs with real brokers.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::{
    collections::HashSet,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use orderdb::audit::{digest::Digester, topic::read_records};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
};
use shared::{
    ledger::{JournalContents, Ledger, RunSummary, RunsFolder, Verdict, read_journal},
    order::OrderPlaced,
    order_id::OrderId,
    telemetry::LOG_FORMAT_VARIABLE,
};
use testbed::Testbed;

fn command(bed: &Testbed, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_producer"));
    // A busy machine sends late, but everything.
    command.args(arguments).args(["--catch-up", "1m", "--output", "json"]).envs(bed.environment());
    command
}

fn summary(output: &Output) -> RunSummary {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test]
async fn a_run_has_exactly_the_configured_orders() {
    let bed = Testbed::new("exact_run").await;
    testbed::fill_cache(&bed).await;
    for arguments in [&["--rate", "300", "--duration", "2s"][..], &["--rate", "300", "--count", "600"]] {
        let output = command(&bed, arguments).output().unwrap();
        let summary = summary(&output);
        assert_eq!((summary.counts.scheduled, summary.counts.acknowledged), (600, 600));
        // A machine that runs tests in parallel may miss the rate. The exit code must report it.
        let code = if summary.verdict == Verdict::Valid { 0 } else { 3 };
        assert_eq!(output.status.code(), Some(code), "{summary:?}");

        let runs = RunsFolder { runs_dir: bed.runs() };
        let ledger = runs.read(&summary.run_id).unwrap().remove(0);
        let run = ledger.run;
        assert_eq!(ledger.journal.acknowledged, (0..600).collect());
        assert_eq!(ledger.summary.unwrap().counts, summary.counts);
        let (kafka, topic) = (bed.kafka.clone(), bed.topic.topic.clone());
        let scanning = move || read_records(&kafka, &topic, &[run.tag], run.started_at, &Digester::default()).unwrap();
        let in_topic = tokio::task::spawn_blocking(scanning).await.unwrap().orders;
        assert_eq!((in_topic.numbers.len(), in_topic.repeats), (600, 0));
    }
}

/// Uses the seed and the numbers of the test's database, so that the prices can be compared.
#[tokio::test]
async fn a_run_with_the_builtin_source_needs_no_redis_and_has_the_rows_of_a_seeded_database() {
    let bed = Testbed::new("builtin").await;
    let (users, products) = (testbed::USERS.to_string(), testbed::PRODUCTS.to_string());
    let builtin = ["--source", "builtin", "--builtin-users", &users, "--builtin-products", &products];
    let arguments = [&["--rate", "200", "--duration", "2s", "--catalog-seed", "7"], &builtin[..]].concat();
    let output = command(&bed, &arguments).env("REDIS_URL", "redis://127.0.0.1:9").output().unwrap();
    let summary = summary(&output);
    assert_eq!((summary.counts.scheduled, summary.counts.acknowledged), (400, 400));
    let records = records(&bed);
    assert_eq!(records.len(), 400);
    let sql = bed.sql().await;
    for (.., value) in records {
        let order: OrderPlaced = serde_json::from_slice(&value).unwrap();
        let query = "SELECT price FROM products, users WHERE product_id = $1 AND user_id = $2";
        let price: i32 =
            sql.query_one(query, &[&order.product_id.as_str(), &order.user_id.as_str()]).await.unwrap().get(0);
        assert_eq!(price * order.quantity, order.total_amount - order.shipping_cost + order.discount_amount);
    }
}

#[tokio::test]
async fn a_requirement_that_is_not_met_is_named_with_what_was_measured_and_makes_the_exit_code_3() {
    let bed = Testbed::new("requirements").await;
    let load = ["--source", "builtin", "--rate", "200", "--count", "100", "--lateness-bound", "1m"];
    let require = ["--require", "ack p99 < 1us", "--require", "failed == 0", "--require", "stall < 1h"];
    let output = command(&bed, &[&load[..], &require].concat()).output().unwrap();
    let summary = summary(&output);
    assert_eq!(output.status.code(), Some(3), "{summary:?}");
    let results: Vec<_> = summary.requirements.iter().map(|it| (it.requirement.as_str(), it.met)).collect();
    assert_eq!(results, [("ack p99 < 1us", false), ("failed == 0", true), ("stall < 1h", true)]);
    // The verdict of a run that did not reach its rate says that instead.
    assert_ne!(summary.verdict, Verdict::Valid);
    let measured = summary.requirements[0].measured.unwrap();
    assert!((measured - summary.acknowledgement_ms.p99).abs() < 1e-9, "{summary:?}");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("requirement not met: ack p99 < 1us: measured"), "{log}");
    assert!(summary.stall.seconds > 0.0 && summary.stall.seconds * 1e3 <= summary.seconds * 1e3 + 1.0, "{summary:?}");

    let text = Command::new(env!("CARGO_BIN_EXE_producer")).args(load).args(require).envs(bed.environment()).output();
    let text = String::from_utf8(text.unwrap().stdout).unwrap();
    let row = text.lines().find(|line| line.contains("ack p99 < 1us")).unwrap_or_else(|| panic!("{text}"));
    assert!(row.contains("requirement") && row.contains("NOT MET"), "{text}");
}

#[tokio::test]
async fn an_interrupted_run_prints_the_summary_of_what_it_sent() {
    let bed = Testbed::new("interrupted").await;
    testbed::fill_cache(&bed).await;
    let child = command(&bed, &["--rate", "500"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    let journal = || {
        let run = std::fs::read_dir(bed.runs()).ok()?.next()?.ok()?.path();
        read_journal(&run.join("acknowledged.journal")).ok()
    };
    let timeout = Duration::from_secs(30);
    testbed::eventually("orders are acknowledged", timeout, async || {
        journal().is_some_and(|journal| !journal.is_empty())
    })
    .await;
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let summary = summary(&output);
    assert_ne!(summary.verdict, Verdict::Lossy, "{summary:?}");
    assert!(summary.counts.acknowledged > 0 && summary.counts.acknowledged == summary.counts.enqueued);
}

/// The run's records in the topic: partition, timestamp, key, value.
fn records(bed: &Testbed) -> Vec<(i32, i64, Vec<u8>, Vec<u8>)> {
    let role = [("group.id", "test"), ("enable.partition.eof", "true"), ("auto.offset.reset", "earliest")];
    let client: BaseConsumer = bed.kafka.client(&role).create().unwrap();
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_range(&bed.topic.topic, 0, 8);
    partitions.set_all_offsets(Offset::Beginning).unwrap();
    client.assign(&partitions).unwrap();
    let (mut found, mut ended) = (Vec::new(), 0);
    while ended < 9 {
        match client.poll(Duration::from_secs(30)).expect("the topic can be read") {
            Ok(record) => {
                let bytes = |bytes: Option<&[u8]>| bytes.unwrap().to_owned();
                let timestamp = record.timestamp().to_millis().unwrap();
                found.push((record.partition(), timestamp, bytes(record.key()), bytes(record.payload())));
            }
            Err(KafkaError::PartitionEOF(_)) => ended += 1,
            Err(error) => panic!("{error}"),
        }
    }
    found.sort_by(|a, b| a.2.cmp(&b.2));
    found
}

#[tokio::test]
async fn a_run_can_be_repeated_byte_for_byte_but_its_tag_also_by_several_shards() {
    let (bed, second, third) =
        (Testbed::new("repeated").await, Testbed::new("again").await, Testbed::new("shared").await);
    testbed::fill_cache(&bed).await;
    let common = ["--rate", "300", "--count", "300", "--arrival", "poisson", "--seed", "7", "--run-id", "r"];
    let earlier = (chrono::Utc::now() - Duration::from_secs(3_600)).to_rfc3339();
    let then = ["--start-at", &earlier, "--backdate"];
    let first = command(&bed, &[&common[..], &then, &["--skew", "1.1"]].concat()).output().unwrap();
    assert_eq!(summary(&first).counts.acknowledged, 300);
    let as_first_sent = records(&bed);
    assert_eq!(as_first_sent.len(), 300);

    let catalog = bed.runs().join("r/catalog.jsonl");
    let again = ["--catalog", catalog.to_str().unwrap(), "--skew", "1.1"];
    let folder = bed.folder().join("again").display().to_string();
    let again_sent =
        command(&second, &[&common[..], &then, &again, &["--runs-dir", &folder]].concat()).output().unwrap();
    assert_eq!(summary(&again_sent).counts.acknowledged, 300);
    // The key of each order is the same, but for the tag of the run.
    let without_tags = |records: &[(i32, i64, Vec<u8>, Vec<u8>)]| {
        let id = |key: &[u8]| std::str::from_utf8(key).unwrap().parse::<OrderId>().unwrap();
        let order = |record: &(i32, i64, Vec<u8>, Vec<u8>)| {
            let key = id(&record.2);
            ((record.0, record.1), (key.due_nanos(), key.sequence()), record.3.clone())
        };
        records.iter().map(order).collect::<Vec<_>>()
    };
    assert_eq!(without_tags(&records(&second)), without_tags(&as_first_sent));

    // Each shard has its own tag. Apart from that, together they send what one producer alone sends.
    let shared: Vec<Child> = ["1/3", "2/3", "3/3"]
        .map(|shard| {
            let mine = ["--shard", shard, "--runs-dir", &folder, "--run-id", "shared"];
            let arguments = [&common[..common.len() - 2], &then, &again, &mine].concat();
            command(&third, &arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .into();
    for child in shared {
        assert_eq!(summary(&child.wait_with_output().unwrap()).counts.acknowledged, 100);
    }
    let values = |records: &[(i32, i64, Vec<u8>, Vec<u8>)]| {
        let mut values: Vec<_> = records.iter().map(|record| (record.1, record.3.clone())).collect();
        values.sort();
        values
    };
    assert_eq!(values(&records(&third)), values(&as_first_sent));
    let ledgers = RunsFolder { runs_dir: folder.into() }.read(&"shared".parse().unwrap()).unwrap();
    let tags: HashSet<_> = ledgers.iter().map(|ledger| ledger.run.tag).collect();
    assert_eq!(tags.len(), 3);
    let mut all = JournalContents::default();
    ledgers.into_iter().for_each(|ledger| all.add(ledger.journal));
    assert_eq!(all.acknowledged, (0..300).collect());
}

/// Both runs are in one topic, and each ledger must find its own orders only.
#[tokio::test]
async fn two_runs_of_one_name_in_different_folders_are_told_apart() {
    let bed = Testbed::new("same_name").await;
    let ledgers: Vec<Ledger> = ["first", "second"]
        .map(|name| {
            let runs_dir = bed.folder().join(name);
            let folder = runs_dir.display().to_string();
            let arguments = ["--source", "builtin", "--rate", "300", "--count", "150", "--run-id", "r"];
            let output = command(&bed, &[&arguments[..], &["--runs-dir", &folder]].concat()).output().unwrap();
            assert_eq!(summary(&output).counts.acknowledged, 150);
            RunsFolder { runs_dir }.read(&"r".parse().unwrap()).unwrap().remove(0)
        })
        .into();
    assert_ne!(ledgers[0].run.tag, ledgers[1].run.tag);
    for ledger in &ledgers {
        assert_eq!(ledger.contradictions(), Vec::<String>::new());
    }
    let ids: Vec<OrderId> =
        records(&bed).iter().map(|record| std::str::from_utf8(&record.2).unwrap().parse().unwrap()).collect();
    assert_eq!(ids.len(), 300);
    for Ledger { run, .. } in &ledgers {
        let mut own: Vec<u64> = ids.iter().filter(|id| id.tag() == run.tag).map(|id| id.sequence().get()).collect();
        own.sort_unstable();
        assert_eq!(own, (0..150).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn log_lines_are_json_unless_stderr_is_a_terminal_and_so_is_the_error_that_ends_the_run() {
    let bed = Testbed::new("json_logs").await;
    let load = ["--rate", "200", "--count", "20", "--source", "builtin", "--run-id", "json-logs"];
    let run = [&load[..], &["--require", "ack p99 < 1us"]].concat();
    let lines = || -> Vec<serde_json::Value> {
        let output = command(&bed, &run).env(LOG_FORMAT_VARIABLE, "auto").output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"))).collect()
    };
    let sent = lines();
    let sending = sent.iter().find(|line| line["message"] == "sending").unwrap_or_else(|| panic!("{sent:?}"));
    assert_eq!((&sending["run"], &sending["program"]), (&"json-logs".into(), &"producer".into()));
    let is_not_met = |line: &&serde_json::Value| {
        let message = line["message"].as_str().unwrap_or_default();
        message.starts_with("requirement not met: ack p99 < 1us: measured ")
    };
    assert_eq!(sent.iter().filter(is_not_met).count(), 1, "{sent:?}");
    let refused = lines();
    let last = refused.last().unwrap();
    assert_eq!(last["level"], "ERROR");
    assert!(last["message"].as_str().unwrap().contains("exists already in"), "{last}");
}
