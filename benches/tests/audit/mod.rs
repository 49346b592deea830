//! What the audit says about runs whose topic, table or dead letters are not what they must be.

use std::{collections::BTreeMap, path::PathBuf, process::Stdio, time::Duration};

use benches::{
    pipeline::{
        stored_rows::stored_rows,
        summary::{PipelineSummary, PipelineVerdict},
    },
    process::command,
};
use orderdb::audit::{AuditInputs, gather, report::AuditReport};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    producer::{FutureProducer, FutureRecord},
};
use shared::{
    kafka::scan,
    ledger::{RunId, RunSummary, RunsFolder},
    order_id::OrderId,
    wire,
};
use testbed::Testbed;

use super::scenario::{Scenario, TIMEOUT};

/// A run whose programs have ended. Its rows are kept in table `kept`.
struct EndedRun {
    bed: Testbed,
    run_id: RunId,
    stats_dir: PathBuf,
}

impl EndedRun {
    async fn audit(&self) -> AuditReport {
        self.audit_with(self.stats_dir.clone()).await
    }

    async fn audit_with(&self, stats_dir: PathBuf) -> AuditReport {
        let (run_id, runs) = (self.run_id.clone(), RunsFolder { runs_dir: self.bed.runs() });
        let inputs = AuditInputs { run_id, runs, stats_dir: Some(stats_dir), kafka: self.bed.kafka.clone() };
        gather(inputs, &self.bed.database).await.unwrap()
    }

    /// Audits the rows as `damage` leaves them, and restores them.
    async fn audit_after(&self, damage: &str) -> AuditReport {
        self.sql(damage).await;
        let report = self.audit().await;
        self.sql("BEGIN; TRUNCATE order_events, orders; INSERT INTO orders TABLE kept; COMMIT").await;
        report
    }

    async fn sql(&self, statements: &str) {
        self.bed.sql().await.batch_execute(statements).await.unwrap();
    }

    /// Deletes the records of each partition below its offset.
    async fn delete_records(&self, topic: &str, offsets: &[(i32, i64)]) {
        let admin: AdminClient<_> = self.bed.kafka.client(&[]).create().unwrap();
        let mut deleted = TopicPartitionList::new();
        for (partition, offset) in offsets {
            deleted.add_partition_offset(topic, *partition, Offset::Offset(*offset)).unwrap();
        }
        admin.delete_records(&deleted, &AdminOptions::new()).await.unwrap();
    }

    /// Number of records of each partition that has some.
    async fn partitions(&self, topic: String) -> BTreeMap<i32, i64> {
        let kafka = self.bed.kafka.clone();
        let counting = move || {
            let mut records = BTreeMap::new();
            scan(&kafka, &topic, None, |record| {
                *records.entry(record.partition()).or_default() += 1;
                Ok(())
            })
            .unwrap();
            records
        };
        tokio::task::spawn_blocking(counting).await.unwrap()
    }
}

/// Starts a producer and returns its summary.
async fn produce(bed: &Testbed, arguments: &[&str]) -> RunSummary {
    let mut producer = command("producer").unwrap();
    producer.args(["--output", "json"]).args(arguments).envs(bed.environment());
    let output = producer.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let output = tokio::task::spawn_blocking(move || output.wait_with_output()).await.unwrap().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

/// The text report and the exit code of `orderdb audit`.
async fn orderdb_audit(bed: &Testbed, run_id: &str) -> (String, Option<i32>) {
    let mut orderdb = command("orderdb").unwrap();
    orderdb.args(["audit", run_id]).envs(bed.environment());
    let output = tokio::task::spawn_blocking(move || orderdb.output()).await.unwrap().unwrap();
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
}

/// Sends a record with the key of a stored order of the run and another total amount to the order's partition. The user
/// of the order is one of the test's database, so that the order was never dead-lettered.
async fn send_conflicting(bed: &Testbed, run_id: &RunId) {
    let (kafka, topic) = (bed.kafka.clone(), bed.topic.topic.clone());
    let tag = RunsFolder { runs_dir: bed.runs() }.read(run_id).unwrap()[0].run.tag;
    let last_user = format!("U{:08}", testbed::USERS);
    let last_order = move || {
        let mut last = None;
        scan(&kafka, &topic, None, |record| {
            if let Ok(order) = wire::decode_order(record.key(), record.payload())
                && order.order_id.parse::<OrderId>().is_ok_and(|id| id.tag() == tag)
                && order.event.user_id.as_str().starts_with('U')
                && order.event.user_id.as_str() <= last_user.as_str()
                && order.event.product_id.as_str().starts_with('P')
            {
                last = Some((order, record.partition(), record.timestamp().to_millis().unwrap()));
            }
            Ok(())
        })
        .unwrap();
        last.unwrap()
    };
    let (mut order, partition, timestamp) = tokio::task::spawn_blocking(last_order).await.unwrap();
    let mut value = Vec::new();
    order.event.total_amount += 1;
    wire::encode_value(&order.event, &mut value);
    let producer: FutureProducer = bed.kafka.client(&[("acks", "all")]).create().unwrap();
    let record = FutureRecord::to(&bed.topic.topic).partition(partition).key(&order.order_id).payload(&value);
    producer.send(record.timestamp(timestamp), Duration::from_secs(10)).await.unwrap();
}

/// A run with invalid orders, beside another run of the same consumer.
async fn ended_run() -> EndedRun {
    let mut scenario = Scenario::start("audited", 500, "4s", 1).await;
    let (bed, load) = (&scenario.bed, ["--rate", "500", "--count", "1500", "--catch-up", "1m", "--run-id"]);
    let beside = [&load[..], &["beside"]].concat();
    let audited = [&load[..], &["audited", "--invalid", "5%"]].concat();
    let (_, run) = tokio::join!(produce(bed, &beside), produce(bed, &audited));
    assert_eq!(run.counts.acknowledged, 1_500);
    scenario.drain().await;
    let stats_dir = scenario.programs.stats_dir();
    let Scenario { bed, programs, .. } = scenario;
    programs.stop().await.unwrap();
    let run = EndedRun { bed, run_id: run.run_id, stats_dir };
    run.sql("CREATE TABLE kept AS TABLE orders").await;
    run
}

#[tokio::test]
async fn every_row_is_compared_with_its_record_its_user_and_its_product() {
    let run = ended_run().await;
    let report = run.audit().await;
    assert!(report.is_valid(), "{report:?}");
    assert!(report.invalid > 0 && report.dead_lettered == report.invalid, "{report:?}");
    assert_eq!((report.altered, report.unchecked, report.conflicting, report.expired), (0, 0, 0, 0));
    assert_eq!(report.latency_coverage, Some(1.0), "{report:?}");
    let all = report.stored;

    let runs = RunsFolder { runs_dir: run.bed.runs() };
    let rows = stored_rows(&run.bed.database, &runs, &run.run_id, 1_200).await.unwrap();
    let tags: Vec<_> = rows.iter().map(|row| row.order_id.parse::<OrderId>().unwrap().tag()).collect();
    assert!(tags.len() == 1_200 && tags.iter().all(|tag| *tag == tags[0]), "rows of another run are shown");

    let ids: Vec<String> = rows.iter().map(|row| format!("('{}')", row.order_id)).collect();
    run.sql(&format!("CREATE TABLE run (order_id text); INSERT INTO run VALUES {}", ids.join(", "))).await;

    let left_out = "DELETE FROM orders WHERE order_id IN \
        (SELECT order_id FROM (SELECT order_id, row_number() OVER (ORDER BY order_id) n FROM run) r WHERE n % 400 = 0)";
    let report = run.audit_after(left_out).await;
    assert_eq!((report.missing, report.altered, report.is_balanced()), (3, 0, false), "{report:?}");

    let exchanged = "WITH two AS (SELECT DISTINCT ON (user_region) order_id, user_region FROM orders JOIN run \
        USING (order_id) ORDER BY user_region LIMIT 2) UPDATE orders o SET user_region = other.user_region \
        FROM two mine, two other WHERE o.order_id = mine.order_id AND other.order_id <> mine.order_id";
    let report = run.audit_after(exchanged).await;
    assert_eq!((report.altered, report.altered_fields, report.altered_attributes), (2, 0, 2), "{report:?}");
    assert!(report.altered_sample.iter().all(|row| row.columns == ["user_region"]), "{report:?}");
    assert!(!report.is_balanced() && report.missing == 0, "{report:?}");

    let off_by_one =
        "UPDATE orders SET total_amount = total_amount + 1 WHERE order_id = (SELECT min(order_id) FROM run)";
    let report = run.audit_after(off_by_one).await;
    assert_eq!((report.altered, report.altered_fields, report.altered_attributes), (1, 1, 0), "{report:?}");
    assert_eq!(report.altered_sample[0].columns, ["total_amount"]);
    assert!(report.altered_sample[0].order_id == rows[0].order_id && !report.is_balanced(), "{report:?}");

    run.sql("UPDATE orders SET total_amount = 0, user_region = '부산'").await;
    let report = run.audit().await;
    assert_eq!((report.altered, report.altered_fields), (all, all), "{report:?}");
    let (text, code) = orderdb_audit(&run.bed, "audited").await;
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("NOT BALANCED") && text.contains("total_amount, user_region"), "{text}");
    run.sql("BEGIN; TRUNCATE order_events, orders; INSERT INTO orders TABLE kept; COMMIT").await;

    let report = run.audit_with(run.bed.folder().join("runs")).await;
    assert_eq!(report.latency_coverage, Some(0.0), "{report:?}");
    assert!(report.to_string().contains("(0.00 % of orders)"), "{report}");

    // Nobody can tell whether the orders of this user are altered. All others are compared.
    let updated = "UPDATE users SET region = 'moved' WHERE user_id = \
        (SELECT user_id FROM orders JOIN run USING (order_id) LIMIT 1)";
    run.sql(updated).await;
    let report = run.audit().await;
    assert_eq!((report.altered, report.unchecked), (0, report.unchecked_updated), "{report:?}");
    assert!(report.is_valid() && (1..100).contains(&report.unchecked), "{report:?}");
    let report = run.audit_after(exchanged).await;
    assert!((1..=2).contains(&report.altered), "{report:?}");
}

#[tokio::test]
async fn records_that_are_deleted_conflicting_or_lost_as_dead_letters_are_counted() {
    let run = ended_run().await;
    let (topic, dead_letters) = (run.bed.topic.topic.clone(), run.bed.topic.dead_letter_topic());
    let dead_lettered = run.audit().await.dead_lettered;
    let largest = |partitions: BTreeMap<i32, i64>| partitions.into_iter().max_by_key(|(_, records)| *records).unwrap();

    // Expired: a stored order is not missing, whatever happened to its record.
    let (partition, records) = largest(run.partitions(topic.clone()).await);
    run.delete_records(&topic, &[(partition, records / 2)]).await;
    let report = run.audit().await;
    assert!(report.expired > 0 && report.is_valid(), "{report:?}");
    assert_eq!((report.expired_unstored, report.missing, report.missing_from_topic), (0, 0, 0), "{report:?}");
    assert_eq!(report.in_topic + report.expired, 1_500);
    assert_eq!(report.topic_beginnings, BTreeMap::from([(partition, records / 2)]));
    assert!((1..=report.expired).contains(&report.unchecked_without_record), "{report:?}");
    let lost = run.audit_after("DELETE FROM orders").await;
    assert_eq!(lost.expired_unstored, report.unchecked_without_record, "{lost:?}");
    assert_eq!((lost.missing_from_topic, lost.is_balanced()), (0, false), "{lost:?}");
    assert_eq!(lost.missing + lost.expired_unstored, report.stored);

    // Conflicting: a second record of a stored order.
    send_conflicting(&run.bed, &run.run_id).await;
    let report = run.audit().await;
    assert_eq!((report.conflicting, report.topic_repeats, report.altered), (1, 1, 0), "{report:?}");
    assert!(!report.is_balanced(), "{report:?}");

    // A dead letter that is dropped leaves its order missing.
    let (partition, records) = largest(run.partitions(dead_letters.clone()).await);
    run.delete_records(&dead_letters, &[(partition, records)]).await;
    let report = run.audit().await;
    assert!(report.missing + report.expired_unstored > 0, "{report:?}");
    assert_eq!(report.dead_lettered + report.missing + report.expired_unstored, dead_lettered, "{report:?}");
}

#[tokio::test]
async fn a_run_with_dead_letters_that_nobody_asked_for_is_not_valid_until_they_are_replayed() {
    let mut scenario = Scenario::start("unexpected_dead_letters", 500, "4s", 1).await;
    // The database has fewer users than the run: some 15 orders have an unknown one.
    let users = (testbed::USERS + 60).to_string();
    let products = testbed::PRODUCTS.to_string();
    let source = ["--source", "builtin", "--builtin-users", &users, "--builtin-products", &products];
    let arguments = [&source[..], &["--rate", "500", "--count", "300", "--run-id", "unasked"]].concat();
    let run = produce(&scenario.bed, &arguments).await;
    scenario.drain().await;
    let report = scenario.audit(run.run_id.clone()).await;
    let dead_lettered = report.dead_lettered;
    assert!(dead_lettered > 0 && report.is_balanced() && !report.is_valid(), "{report:?}");
    assert_eq!(report.unexpected_dead_letters, dead_lettered, "{report:?}");
    assert_eq!(report.dead_letter_causes, BTreeMap::from([("unknown_user".to_owned(), dead_lettered)]));
    let (text, code) = orderdb_audit(&scenario.bed, "unasked").await;
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains(&format!("{dead_lettered} unknown_user")), "{text}");
    let summary = PipelineSummary::new(run.clone(), &report, Vec::new(), 0, Vec::new(), 1);
    assert_eq!((summary.verdict, summary.is_valid()), (PipelineVerdict::DeadLettered, false));

    let missing_users = "INSERT INTO users (user_id) SELECT 'U' || lpad(n::text, 8, '0') \
        FROM generate_series(1, 2000) n ON CONFLICT DO NOTHING";
    scenario.bed.sql().await.batch_execute(missing_users).await.unwrap();
    testbed::eventually("all orders are stored", TIMEOUT, async || {
        // The consumer caches for a moment that a user is unknown, so a replayed order may be dead-lettered again.
        let mut replay = command("consumer").unwrap();
        replay.args(["dlq", "replay", "--max-replays", "1000"]).envs(scenario.bed.environment());
        let output = tokio::task::spawn_blocking(move || replay.output()).await.unwrap().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        scenario.audit(run.run_id.clone()).await.stored == 300
    })
    .await;
    let report = scenario.audit(run.run_id.clone()).await;
    assert_eq!((report.replayed, report.unexpected_dead_letters, report.altered), (dead_lettered, 0, 0), "{report:?}");
    assert!(report.is_valid() && report.topic_repeats >= dead_lettered, "{report:?}");

    send_conflicting(&scenario.bed, &run.run_id).await;
    scenario.drain().await;
    let report = scenario.audit(run.run_id.clone()).await;
    assert_eq!((report.conflicting, report.altered, report.replayed), (1, 0, dead_lettered), "{report:?}");
    assert_eq!(report.dead_letter_causes, BTreeMap::from([("conflicting".to_owned(), 1)]), "{report:?}");
    assert!(!report.is_balanced(), "{report:?}");
    scenario.end().await;
}
