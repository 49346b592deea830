//! A toxiproxy server of a run's own, and its HTTP API.
//!
//! A proxy with the toxic `reset_peer`, even at toxicity 0, closes its connections with RST instead of FIN, because
//! toxiproxy sets `SO_LINGER` to 0 for them. The toxic itself would reset a connection only after further data.

use std::{net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::stack::Stack;
use crate::process::{Program, free_address};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const START_TIMEOUT: Duration = Duration::from_secs(20);
const STREAMS: [&str; 2] = ["upstream", "downstream"];

/// A running server. It ends when this is dropped.
pub struct Toxiproxy {
    server: Program,
    api: SocketAddr,
}

/// What a proxy does to the data in each direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toxic {
    Latency(Duration),
    /// Drops all data. Its removal closes the connections, which lack what was dropped.
    DropData,
    /// Closes connections with RST.
    ResetOnClose,
}

impl Toxiproxy {
    /// Starts a server without a proxy; its log is in `logs`.
    ///
    /// # Errors
    /// When it can't be started.
    pub async fn start(stack: &Stack, logs: &Path) -> anyhow::Result<Self> {
        let api = free_address()?;
        let (host, port) = (api.ip().to_string(), api.port().to_string());
        let mut command = stack.command(&["toxiproxy", "-host", &host, "-port", &port]);
        command.env("LOG_LEVEL", "warn"); // else it logs every connection
        let mut proxy = Self { server: Program::spawn("toxiproxy", command, logs)?, api };
        let started = tokio::time::Instant::now();
        while proxy.request("GET", "/version", None).await.is_err() {
            proxy.server.ensure_running()?;
            ensure!(
                started.elapsed() < START_TIMEOUT,
                "toxiproxy does not answer at {api}: {}",
                proxy.server.log_tail()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(proxy)
    }

    /// Adds a proxy from `listen` to `upstream`.
    ///
    /// # Errors
    /// When the address `listen` is in use.
    pub async fn add(&self, name: &str, listen: SocketAddr, upstream: SocketAddr) -> anyhow::Result<()> {
        let proxy = json!({ "name": name, "listen": listen, "upstream": upstream, "enabled": true });
        self.request("POST", "/proxies", Some(proxy)).await.with_context(|| {
            format!(
                "the proxy of {name} can't listen at {listen}: does another load test with faults of the network use \
                 this stack, or was one killed and has left its toxiproxy-server?"
            )
        })
    }

    /// Makes a proxy accept connections, or refuse them and close those that are open.
    ///
    /// # Errors
    /// When toxiproxy does not answer, or the port is in use by now.
    pub async fn set_enabled(&self, name: &str, enabled: bool) -> anyhow::Result<()> {
        self.request("PATCH", &format!("/proxies/{name}"), Some(json!({ "enabled": enabled }))).await
    }

    /// Adds a toxic in both directions.
    ///
    /// # Errors
    /// When toxiproxy does not answer, or the proxy has it already.
    pub async fn add_toxic(&self, name: &str, toxic: Toxic) -> anyhow::Result<()> {
        for stream in STREAMS {
            let toxic = toxic.json(stream);
            self.request("POST", &format!("/proxies/{name}/toxics"), Some(toxic)).await?;
        }
        Ok(())
    }

    /// Removes a toxic in both directions. Both are tried, so that it may be repeated after an error.
    ///
    /// # Errors
    /// When toxiproxy does not answer, or one was not there.
    pub async fn remove_toxic(&self, name: &str, toxic: Toxic) -> anyhow::Result<()> {
        let mut removed = Ok(());
        for stream in STREAMS {
            let toxic = toxic.name(stream);
            removed = removed.and(self.request("DELETE", &format!("/proxies/{name}/toxics/{toxic}"), None).await);
        }
        removed
    }

    async fn request(&self, method: &'static str, path: &str, body: Option<Value>) -> anyhow::Result<()> {
        let url = format!("http://{}{path}", self.api);
        tokio::task::spawn_blocking(move || {
            let body = body.map(|body| body.to_string()).unwrap_or_default();
            let request = ureq::http::Request::builder().method(method).uri(&url).body(body)?;
            let agent = ureq::Agent::new_with_config(
                ureq::Agent::config_builder()
                    .timeout_global(Some(REQUEST_TIMEOUT))
                    .http_status_as_error(false)
                    .allow_non_standard_methods(true)
                    .build(),
            );
            let mut response = agent.run(request).with_context(|| format!("toxiproxy does not answer at {url}"))?;
            let answer = response.body_mut().read_to_string()?;
            ensure!(response.status().is_success(), "toxiproxy, {method} {url}: {}", answer.trim());
            Ok(())
        })
        .await?
    }
}

impl Toxic {
    fn name(self, stream: &str) -> String {
        format!("{}-{stream}", self.kind())
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Latency(_) => "latency",
            Self::DropData => "timeout",
            Self::ResetOnClose => "reset_peer",
        }
    }

    fn json(self, stream: &str) -> Value {
        let (toxicity, attributes) = match self {
            Self::Latency(delay) => (1, json!({ "latency": delay.as_millis() as u64 })),
            Self::DropData => (1, json!({ "timeout": 0 })),
            Self::ResetOnClose => (0, json!({ "timeout": 0 })),
        };
        json!({
            "name": self.name(stream),
            "type": self.kind(),
            "stream": stream,
            "toxicity": toxicity,
            "attributes": attributes,
        })
    }
}
