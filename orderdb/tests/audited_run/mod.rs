//! A run whose ledger, records and rows are made by the test: 40 orders with 60 changes.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use orderdb::audit::{
    AuditInputs, gather,
    report::{AuditReport, ChangesReport},
};
use rdkafka::{
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use shared::{
    kafka::ensure_topic,
    latency::LatencySummary,
    ledger::{
        ChangesSummary, Counts, JournalContents, Run, RunId, RunSummary, RunsFolder, Shard, StallSummary, Verdict,
    },
    lifecycle::{ChangeNumber, OrderStatus, OrderStatusChanged},
    order::{OrderPlaced, PaymentMethod, PlacedStatus},
    order_id::{OrderId, RunTag, Sequence},
    wire::{EVENT_TYPE_HEADER, ORDER_PLACED_V1, ORDER_STATUS_CHANGED_V1, encode_value},
};
use testbed::Testbed;

pub const ORDERS: u64 = 40;
pub const CHANGES: u64 = 60;
const RUN: &str = "changed";

/// Order n has the first `n % 4` changes of these, from [`PlacedStatus::PaymentPending`] on.
const LIFE: [(OrderStatus, &str); 3] =
    [(OrderStatus::Paid, "card"), (OrderStatus::Processing, ""), (OrderStatus::Shipped, "handed_over")];

/// A run of which ledger, topic and tables have everything. Its rows are kept in tables of their own.
pub struct AuditedRun {
    pub bed: Testbed,
    pub tag: RunTag,
    started_at: DateTime<Utc>,
    records: FutureProducer,
}

impl AuditedRun {
    /// `changes` is what the summary of the producer has.
    pub async fn new(test: &str, changes: Option<ChangesSummary>) -> Self {
        let bed = Testbed::new(test).await;
        ensure_topic(&bed.kafka, &bed.topic.orders()).await.unwrap();
        ensure_topic(&bed.kafka, &bed.topic.dead_letters()).await.unwrap();
        let records = bed.kafka.client(&[("acks", "all")]).create().unwrap();
        let started_at = (Utc::now() - TimeDelta::minutes(1)).trunc_subsecs(6);
        let run = Self { bed, tag: RunTag::random(), started_at, records };
        run.write_ledger(changes);
        for n in 0..ORDERS {
            run.place(n).await;
        }
        for (n, change) in (0..ORDERS).flat_map(|n| run.changes(n).map(move |change| (n, change))) {
            run.send_change(n, &change).await;
        }
        run.insert_rows().await;
        run
    }

    /// The run with a summary that has its changes.
    pub async fn complete(test: &str) -> Self {
        let by_status = BTreeMap::from([
            (OrderStatus::Paid, ORDERS / 4 * 3),
            (OrderStatus::Processing, ORDERS / 4 * 2),
            (OrderStatus::Shipped, ORDERS / 4),
        ]);
        let (scheduled, enqueued, acknowledged) = (CHANGES, CHANGES, CHANGES);
        let changes = ChangesSummary { scheduled, enqueued, acknowledged, by_status, ..ChangesSummary::default() };
        Self::new(test, Some(changes)).await
    }

    fn write_ledger(&self, changes: Option<ChangesSummary>) {
        let run_id: RunId = RUN.parse().unwrap();
        let (runs, topic) = (RunsFolder { runs_dir: self.bed.runs() }, self.bed.topic.topic.clone());
        let (shard, settings) = (Shard::SINGLE, BTreeMap::new());
        let (tag, started_at, backdated) = (self.tag, self.started_at, false);
        let mut journal =
            runs.create(&Run { run_id: run_id.clone(), shard, tag, started_at, topic, backdated, settings }).unwrap();
        let numbers = |n| self.changes(n).map(move |change| ChangeNumber::new(n, change.sequence).unwrap().get());
        let sent = JournalContents {
            acknowledged: (0..ORDERS).collect(),
            changes_acknowledged: (0..ORDERS).flat_map(numbers).collect(),
            ..JournalContents::default()
        };
        journal.append(&sent).unwrap();
        let counts = Counts { scheduled: ORDERS, enqueued: ORDERS, acknowledged: ORDERS, ..Counts::default() };
        let zero = LatencySummary::default();
        let summary = RunSummary {
            run_id,
            shard,
            resumed_at: None,
            rate_asked: None,
            rate_achieved: 40.0,
            tail_seconds: None,
            seconds: 1.0,
            stall: StallSummary::default(),
            counts,
            warm_up: Counts::default(),
            changes,
            errors: BTreeMap::new(),
            queue_full: 0,
            lateness_ms: zero,
            acknowledgement_ms: zero,
            round_trip_ms: zero,
            requirements: Vec::new(),
            verdict: Verdict::Valid,
        };
        runs.finish(&summary).unwrap();
    }

    /// Leaves the ledger as a killed producer does.
    pub fn remove_summary(&self) {
        let runs = RunsFolder { runs_dir: self.bed.runs() };
        std::fs::remove_file(runs.shard_folder(&RUN.parse().unwrap(), Shard::SINGLE).join("summary.json")).unwrap();
    }

    fn due(&self, n: u64) -> DateTime<Utc> {
        self.started_at + TimeDelta::milliseconds(n.cast_signed() * 10)
    }

    /// The id of order `n`.
    pub fn id(&self, n: u64) -> String {
        let due = self.due(n).timestamp_nanos_opt().unwrap().cast_unsigned();
        OrderId::new(due, self.tag, Sequence::new(n).unwrap()).to_string()
    }

    /// Change `sequence` of order `n`, whether it was sent or not.
    pub fn change(&self, n: u64, sequence: i32) -> OrderStatusChanged {
        let (status, reason) = LIFE[usize::try_from(sequence - 1).unwrap().min(2)];
        let occurred_at = self.due(n) + TimeDelta::seconds(sequence.into());
        OrderStatusChanged { sequence, status, reason: reason.to_owned(), occurred_at }
    }

    /// The changes of order `n`.
    fn changes(&self, n: u64) -> impl Iterator<Item = OrderStatusChanged> {
        (1..=i32::try_from(n % 4).unwrap()).map(move |sequence| self.change(n, sequence))
    }

    async fn place(&self, n: u64) {
        let order = OrderPlaced {
            user_id: "U00000001".into(),
            product_id: "P000001".into(),
            quantity: 1,
            total_amount: 1_000,
            shipping_cost: 0,
            discount_amount: 0,
            payment_method: PaymentMethod::Card,
            status: PlacedStatus::PaymentPending,
            created_at: self.due(n),
        };
        let mut value = Vec::new();
        encode_value(&order, &mut value);
        self.send(&self.bed.topic.topic, n, (ORDER_PLACED_V1, &value), self.due(n), &[]).await;
    }

    /// Sends a change of order `n`.
    pub async fn send_change(&self, n: u64, change: &OrderStatusChanged) {
        let mut value = Vec::new();
        encode_value(change, &mut value);
        self.send_value(n, &value, change.occurred_at).await;
    }

    /// Sends a record of order `n` with the header of a change.
    pub async fn send_value(&self, n: u64, value: &[u8], at: DateTime<Utc>) {
        self.send(&self.bed.topic.topic, n, (ORDER_STATUS_CHANGED_V1, value), at, &[]).await;
    }

    /// Dead-letters a change of order `n`.
    pub async fn dead_letter(&self, n: u64, change: &OrderStatusChanged, kind: &str) {
        let mut value = Vec::new();
        encode_value(change, &mut value);
        let topic = self.bed.topic.dead_letter_topic();
        let headers = [(shared::dlq_headers::KIND, kind)];
        self.send(&topic, n, (ORDER_STATUS_CHANGED_V1, &value), Utc::now(), &headers).await;
    }

    async fn send(&self, topic: &str, n: u64, event: (&str, &[u8]), at: DateTime<Utc>, more: &[(&str, &str)]) {
        let (event_type, value) = event;
        let mut headers = OwnedHeaders::new().insert(Header { key: EVENT_TYPE_HEADER, value: Some(event_type) });
        for (key, value) in more {
            headers = headers.insert(Header { key, value: Some(*value) });
        }
        let id = self.id(n);
        let record = FutureRecord::to(topic).partition(i32::try_from(n % 3).unwrap()).key(&id).payload(value);
        let record = record.headers(headers).timestamp(at.timestamp_millis());
        self.records.send(record, Duration::from_secs(10)).await.unwrap();
    }

    /// Inserts the orders and their histories, and keeps copies.
    async fn insert_rows(&self) {
        let sql = self.bed.sql().await;
        for n in 0..ORDERS {
            let (id, due) = (self.id(n), self.due(n));
            let placed = "INSERT INTO orders SELECT $1, user_id, product_id, 1, 1000, 0, 0, 'card', 'payment_pending', \
                          category, region, gender, age_group, $2 FROM users, products \
                          WHERE user_id = 'U00000001' AND product_id = 'P000001'";
            sql.execute(placed, &[&id, &due]).await.unwrap();
            let event = "INSERT INTO order_events VALUES ($1, $2, $3, $4, $5)";
            for OrderStatusChanged { sequence, status, reason, occurred_at } in self.changes(n) {
                if sequence == 1 {
                    sql.execute(event, &[&id, &0, &"payment_pending", &"", &due]).await.unwrap();
                }
                sql.execute(event, &[&id, &sequence, &status.as_str(), &reason, &occurred_at]).await.unwrap();
                let current = "UPDATE orders SET status = $2, status_sequence = $3 WHERE order_id = $1";
                sql.execute(current, &[&id, &status.as_str(), &sequence]).await.unwrap();
            }
        }
        let keep = "CREATE TABLE kept AS TABLE orders; CREATE TABLE kept_events AS TABLE order_events";
        sql.batch_execute(keep).await.unwrap();
    }

    pub async fn audit(&self) -> AuditReport {
        self.audit_with(None).await
    }

    pub async fn audit_with(&self, stats_dir: Option<PathBuf>) -> AuditReport {
        let (run_id, runs) = (RUN.parse().unwrap(), RunsFolder { runs_dir: self.bed.runs() });
        let inputs = AuditInputs { run_id, runs, stats_dir, kafka: self.bed.kafka.clone() };
        gather(inputs, &self.bed.database).await.unwrap()
    }

    /// Audits the rows as `damage` leaves them, and restores them. `ID` in it is order `n`.
    pub async fn audit_after(&self, n: u64, damage: &str) -> (AuditReport, ChangesReport) {
        let sql = self.bed.sql().await;
        sql.batch_execute(&damage.replace("ID", &format!("order_id = '{}'", self.id(n)))).await.unwrap();
        let report = self.audit().await;
        let restore = "BEGIN; TRUNCATE order_events, orders; INSERT INTO orders TABLE kept; \
                       INSERT INTO order_events TABLE kept_events; COMMIT";
        sql.batch_execute(restore).await.unwrap();
        let changes = report.changes.clone().unwrap();
        (report, changes)
    }
}
