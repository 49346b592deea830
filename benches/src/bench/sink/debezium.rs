//! Debezium's JDBC sink in a Kafka Connect worker. It does not enrich, so it reads topics whose orders have the
//! enriched columns already.

use std::{
    net::SocketAddr,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use shared::order_id::RunTag;

use super::{
    connector::{Setup, connector, schema},
    fill_rate::{empty_table, measure_fill_rate},
    stored_order::StoredOrder,
};
use crate::{
    bench::{bare_loop, encoded_order::EncodedOrder, environment::BenchEnvironment, filled_topic::FilledTopic},
    process::{Program, free_address},
    settings::SinkBenchSettings,
};

/// Timeout of the start and of the stop of the Connect worker.
const WORKER_TIMEOUT: Duration = Duration::from_secs(60);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Bounds the memory: with its schema, a record has more than a kilobyte. A multiple of the orders that a partition
/// gets before the next one is used.
const ORDERS_IN_MEMORY: usize = 27 * 3_000;

/// A running Connect worker, and its topics.
pub struct Connect {
    worker: Program,
    address: SocketAddr,
    /// Records with their schema.
    default: FilledTopic,
    /// Records without their schema.
    tuned: FilledTopic,
}

impl Connect {
    /// Sends `orders` to a topic for each setup and starts the worker.
    ///
    /// # Errors
    /// When the brokers do not acknowledge an order, or the worker does not start.
    pub async fn start(
        bench: &mut BenchEnvironment,
        settings: &SinkBenchSettings,
        orders: &[StoredOrder],
    ) -> anyhow::Result<Self> {
        let with_schema = |order: &StoredOrder| json!({ "schema": schema(), "payload": order }).to_string();
        let default = fill_topic(bench, "with-schema", orders, with_schema).await?;
        let tuned = fill_topic(bench, "without-schema", orders, |order| json!(order).to_string()).await?;
        let address = free_address()?;
        let properties = bench.folder.path().join("worker.properties");
        let offsets = bench.folder.path().join("connect.offsets");
        std::fs::write(
            &properties,
            format!(
                "bootstrap.servers={}\nlisteners=http://{address}\noffset.storage.file.filename={}\n\
                 key.converter=org.apache.kafka.connect.storage.StringConverter\n\
                 value.converter=org.apache.kafka.connect.json.JsonConverter\nvalue.converter.schemas.enable=true\n\
                 offset.flush.interval.ms=1000\nconnector.client.config.override.policy=All\n",
                bench.services.kafka.brokers,
                offsets.display()
            ),
        )?;
        let mut command = Command::new(settings.peers.join("connect"));
        command.arg(&properties);
        let mut worker = Program::spawn("connect", command, &bench.logs())?;
        let started = Instant::now();
        while request("GET", format!("http://{address}/connectors"), None).await.is_err() {
            worker.ensure_running()?;
            ensure!(
                started.elapsed() < WORKER_TIMEOUT,
                "Kafka Connect has not started after {WORKER_TIMEOUT:?}:\n{}",
                worker.log_tail()
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(Self { worker, address, default, tuned })
    }

    /// Drains the setup's topic with a new connector, which has a new group, and returns rows per second.
    ///
    /// # Errors
    /// When the connector fails, or not every order is stored exactly once.
    pub async fn drain(&mut self, bench: &BenchEnvironment, orders: u64, setup: Setup) -> anyhow::Result<f64> {
        empty_table(bench).await?;
        let topic = if setup == Setup::Default { &self.default } else { &self.tuned };
        let name = format!("{}.{}", bench.name, RunTag::random());
        let connector = json!({ "name": name, "config": connector(&bench.database, &topic.name, setup) });
        request("POST", format!("http://{}/connectors", self.address), Some(connector)).await?;
        let worker = &mut self.worker;
        let logged_before = worker.log().len();
        let ensure_running = || {
            worker.ensure_running()?;
            // A failed task does not end the worker.
            match worker.log().get(logged_before..).is_some_and(|new| new.contains("Task is being killed")) {
                true => bail!("Debezium's task failed:\n{}", worker.log_tail()),
                false => Ok(()),
            }
        };
        let rows_per_second = measure_fill_rate(bench, topic, orders, ensure_running).await?;
        request("DELETE", format!("http://{}/connectors/{name}", self.address), None).await?;
        Ok(rows_per_second)
    }

    /// Stops the worker. Its exit code is not checked: after SIGTERM, Java exits with 143.
    ///
    /// # Errors
    /// When it does not stop in time.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.worker.request_stop()?;
        let mut worker = self.worker;
        tokio::task::spawn_blocking(move || worker.wait(WORKER_TIMEOUT)).await??;
        Ok(())
    }
}

/// Creates a topic with the orders, whose values `value` encodes.
///
/// # Errors
/// When the brokers do not acknowledge an order.
pub async fn fill_topic(
    bench: &mut BenchEnvironment,
    name: &str,
    orders: &[StoredOrder],
    value: impl Fn(&StoredOrder) -> String,
) -> anyhow::Result<FilledTopic> {
    let (topic, partitions) = bench.create_topic(name).await?;
    let kafka = &bench.services.kafka;
    let encode = |order: &StoredOrder| EncodedOrder { key: order.order_id.clone(), value: value(order).into_bytes() };
    for chunk in orders.chunks(ORDERS_IN_MEMORY) {
        let records: Vec<EncodedOrder> = chunk.iter().map(encode).collect();
        let count = records.len() as u64;
        bare_loop::send(kafka, &topic, partitions, Arc::new(records), count).await?;
    }
    FilledTopic::read(kafka, &topic).await
}

/// Sends a request to the worker's REST interface.
async fn request(method: &'static str, url: String, body: Option<Value>) -> anyhow::Result<()> {
    tokio::task::spawn_blocking(move || {
        let request =
            ureq::http::Request::builder().method(method).uri(&url).header("Content-Type", "application/json");
        let config = ureq::Agent::config_builder().timeout_global(Some(REQUEST_TIMEOUT)).build();
        ureq::Agent::new_with_config(config)
            .run(request.body(body.map(|body| body.to_string()).unwrap_or_default())?)
            .with_context(|| format!("Kafka Connect: {method} {url} failed"))?;
        Ok(())
    })
    .await?
}
