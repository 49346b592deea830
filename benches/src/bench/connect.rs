//! A Kafka Connect worker with Debezium's JDBC sink.

use std::{
    net::SocketAddr,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use shared::order_id::RunTag;

use super::environment::BenchEnvironment;
use crate::process::{Program, free_address};

/// Timeout of the start and of the stop of the worker.
const WORKER_TIMEOUT: Duration = Duration::from_secs(60);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A running worker. One connector at a time makes its log, and its CPU time, those of the connector.
pub struct ConnectWorker {
    worker: Program,
    address: SocketAddr,
}

/// A running connector, which has a group of its own.
pub struct Connector {
    name: String,
    /// Length of the worker's log when it was created.
    log_start: usize,
}

impl ConnectWorker {
    /// Starts the worker by the script in `peers`, and waits until it answers.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(bench: &BenchEnvironment, peers: &Path) -> anyhow::Result<Self> {
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
        let mut command = Command::new(peers.join("connect"));
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
        Ok(Self { worker, address })
    }

    pub fn pid(&self) -> u32 {
        self.worker.pid()
    }

    /// Creates a connector with a name, and so a group, of its own.
    ///
    /// # Errors
    /// When the worker refuses the configuration.
    pub async fn create(&self, bench: &BenchEnvironment, config: Value) -> anyhow::Result<Connector> {
        let connector =
            Connector { name: format!("{}.{}", bench.name, RunTag::random()), log_start: self.worker.log().len() };
        let body = json!({ "name": connector.name, "config": config });
        request("POST", format!("http://{}/connectors", self.address), Some(body)).await?;
        Ok(connector)
    }

    /// # Errors
    /// When the worker or a task of the connector has failed.
    pub fn ensure_running(&mut self, connector: &Connector) -> anyhow::Result<()> {
        self.worker.ensure_running()?;
        // A failed task does not end the worker.
        if self.worker.log().get(connector.log_start..).is_some_and(|new| new.contains("Task is being killed")) {
            bail!("Debezium's task failed:\n{}", self.worker.log_tail());
        }
        Ok(())
    }

    /// # Errors
    /// When the worker does not delete it.
    pub async fn delete(&self, connector: Connector) -> anyhow::Result<()> {
        request("DELETE", format!("http://{}/connectors/{}", self.address, connector.name), None).await
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
