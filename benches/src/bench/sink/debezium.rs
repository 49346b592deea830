//! Debezium's JDBC sink in a Kafka Connect worker of its own. It gets its own copy of the orders, with the enriched columns
//! already in them, since it enriches nothing.

use std::{
    net::SocketAddr,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use shared::order_id::RunTag;

use super::{
    copy::StoredOrder,
    drain::{empty_table, watch},
};
use crate::{
    bench::{
        bare_loop::{self, Record},
        corner::{Corner, Source, last_ids},
    },
    programs::{Program, free_address},
    settings::SinkBenchSettings,
};

/// Longest time that Connect may take to start.
const START: Duration = Duration::from_secs(60);
const CALL: Duration = Duration::from_secs(30);
/// More than a kilobyte each, with their schema; a multiple of the orders that a partition gets in its turn.
const ORDERS_IN_MEMORY: usize = 27 * 3_000;

/// How Debezium is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// JSON with its schema in every record, upserts as JDBC batches: what its documentation shows.
    Usual,
    /// The best that was found: the schema in the connector's settings, and upserts by `UNNEST` (Debezium 3.6).
    Tuned,
}

/// A Connect worker and the orders in the form that it takes.
pub struct Connect {
    worker: Program,
    address: SocketAddr,
    usual: Source,
    tuned: Source,
}

impl Connect {
    /// Starts a worker and puts `orders` on topics for it.
    ///
    /// # Errors
    /// When it does not start, or the brokers don't take the orders.
    pub async fn start(
        corner: &mut Corner,
        settings: &SinkBenchSettings,
        orders: &[StoredOrder],
    ) -> anyhow::Result<Self> {
        let usual =
            publish(corner, "with-schema", orders, |order| json!({ "schema": schema(), "payload": order }).to_string());
        let usual = usual.await?;
        let tuned = publish(corner, "without-schema", orders, |order| json!(order).to_string()).await?;
        let address = free_address()?;
        let properties = corner.folder.path().join("worker.properties");
        let offsets = corner.folder.path().join("connect.offsets");
        std::fs::write(
            &properties,
            format!(
                "bootstrap.servers={}\nlisteners=http://{address}\noffset.storage.file.filename={}\n\
                 key.converter=org.apache.kafka.connect.storage.StringConverter\n\
                 value.converter=org.apache.kafka.connect.json.JsonConverter\nvalue.converter.schemas.enable=true\n\
                 offset.flush.interval.ms=1000\nconnector.client.config.override.policy=All\n",
                corner.kafka.brokers,
                offsets.display()
            ),
        )?;
        let mut command = Command::new(settings.peers.join("connect"));
        command.arg(&properties);
        let mut worker = Program::spawn("connect", command, &corner.logs())?;
        let started = Instant::now();
        while call("GET", format!("http://{address}/connectors"), None).await.is_err() {
            worker.check()?;
            ensure!(started.elapsed() < START, "Kafka Connect does not start:\n{}", worker.log_tail());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(Self { worker, address, usual, tuned })
    }

    /// Drains its topic by a connector, and so a group, of its own in the worker that is there already.
    ///
    /// # Errors
    /// When it fails, or does not store everything once.
    pub async fn drain(&mut self, corner: &Corner, orders: u64, setup: Setup) -> anyhow::Result<f64> {
        empty_table(corner).await?;
        let source = if setup == Setup::Usual { &self.usual } else { &self.tuned };
        let name = format!("{}.{}", corner.name, RunTag::random());
        let connector = json!({ "name": name, "config": connector(corner, &source.topic, setup) });
        call("POST", format!("http://{}/connectors", self.address), Some(connector)).await?;
        let worker = &mut self.worker;
        let failed = worker.log().len();
        let drained = watch(corner, source, orders, || {
            worker.check()?;
            // A task that failed stays so, without ending the worker.
            let log = worker.log();
            match log.get(failed..).is_some_and(|new| new.contains("Task is being killed")) {
                true => bail!("Debezium's task failed:\n{}", worker.log_tail()),
                false => Ok(()),
            }
        });
        let rows_a_second = drained.await?;
        call("DELETE", format!("http://{}/connectors/{name}", self.address), None).await?;
        Ok(rows_a_second)
    }

    /// Ends the worker.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn end(self) -> anyhow::Result<()> {
        self.worker.ask_to_stop()?;
        let mut worker = self.worker;
        // Java's own exit status after a SIGTERM is 143.
        tokio::task::spawn_blocking(move || worker.wait(START)).await??;
        Ok(())
    }
}

async fn publish(
    corner: &mut Corner,
    name: &str,
    orders: &[StoredOrder],
    value: impl Fn(&StoredOrder) -> String,
) -> anyhow::Result<Source> {
    let (topic, partitions) = corner.another_topic(name).await?;
    let record = |order: &StoredOrder| Record { key: order.order_id.clone(), value: value(order).into_bytes() };
    for chunk in orders.chunks(ORDERS_IN_MEMORY) {
        let records: Vec<Record> = chunk.iter().map(record).collect();
        let (client, to) = (bare_loop::config(&corner.kafka), topic.clone());
        let publishing = move || bare_loop::run(&client, &to, partitions, &records, records.len() as u64);
        tokio::task::spawn_blocking(publishing).await??;
    }
    let last = last_ids(&corner.kafka, &topic).await?;
    Ok(Source { topic, last })
}

fn schema() -> Value {
    let field = |name: &str, kind: &str| json!({ "field": name, "type": kind, "optional": false });
    let mut fields: Vec<Value> = ["order_id", "user_id", "product_id"].map(|name| field(name, "string")).to_vec();
    let numbers = ["quantity", "total_amount", "shipping_cost", "discount_amount"];
    fields.extend(numbers.map(|name| field(name, "int32")));
    let texts = ["payment_method", "status", "category", "user_region", "user_gender", "user_age_group"];
    fields.extend(texts.map(|name| field(name, "string")));
    fields.push(json!({
        "field": "created_at", "type": "string", "optional": false, "name": "io.debezium.time.ZonedTimestamp", "version": 1
    }));
    json!({ "type": "struct", "name": "orderflow.orders.Value", "optional": false, "fields": fields })
}

fn connector(corner: &Corner, topic: &str, setup: Setup) -> Value {
    let (user, password) = corner.database.credentials();
    let mut config = json!({
        "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
        "tasks.max": "3",
        "topics": topic,
        "connection.url": format!("jdbc:postgresql://{}?reWriteBatchedInserts=true", corner.database.place()),
        "connection.username": user,
        "connection.password": password.expose_secret(),
        "insert.mode": "upsert",
        "primary.key.mode": "record_value",
        "primary.key.fields": "order_id",
        "schema.evolution": "none",
        "collection.name.format": "orders",
        "batch.size": "2000",
        "consumer.override.auto.offset.reset": "earliest",
        "consumer.override.max.poll.records": "2000",
        // The tasks share the partitions at once rather than with the first one's next heartbeat, and parse no headers.
        "consumer.override.heartbeat.interval.ms": "500",
        "header.converter": "org.apache.kafka.connect.converters.ByteArrayConverter",
    });
    if setup == Setup::Tuned {
        config["dialect.postgres.unnest.insert.enabled"] = json!("true");
        config["value.converter"] = json!("org.apache.kafka.connect.json.JsonConverter");
        config["value.converter.schemas.enable"] = json!("true");
        config["value.converter.schema.content"] = json!(schema().to_string());
    }
    config
}

async fn call(method: &'static str, url: String, body: Option<Value>) -> anyhow::Result<()> {
    tokio::task::spawn_blocking(move || {
        let request =
            ureq::http::Request::builder().method(method).uri(&url).header("Content-Type", "application/json");
        let agent = ureq::Agent::new_with_config(ureq::Agent::config_builder().timeout_global(Some(CALL)).build());
        agent
            .run(request.body(body.map(|body| body.to_string()).unwrap_or_default())?)
            .with_context(|| format!("Kafka Connect refuses {method} {url}"))?;
        Ok(())
    })
    .await?
}
