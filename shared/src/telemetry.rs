//! What a running program tells: logs on stderr, metrics and health over HTTP.

use std::{io::IsTerminal, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{Router, http::StatusCode, routing::get};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Starts logging to stderr. `RUST_LOG` chooses what; librdkafka's own lines are off unless asked for, since the programs
/// report what follows from them.
pub fn start_logging() {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,librdkafka=off,rdkafka=off,tokio_postgres=warn"));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_target(false)
        .init();
}

/// Where a program serves `/metrics`, `/healthz` and `/readyz`.
#[derive(Clone, Debug, clap::Args)]
pub struct TelemetryArgs {
    /// Serve /metrics (Prometheus), /healthz and /readyz at this address, such as 127.0.0.1:9464; nothing is served
    /// without it.
    #[arg(long, env = "ORDERFLOW_LISTEN", value_name = "ADDRESS:PORT", help_heading = "Telemetry")]
    pub listen: Option<SocketAddr>,
}

/// Upper bounds of the buckets of what is measured in seconds.
const SECONDS: [f64; 16] =
    [0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0];
/// Time between two sums of what histograms were told.
const UPKEEP: Duration = Duration::from_secs(1);

/// Whether the program can do its work right now; the text says why not.
pub type Readiness = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Installs the recorder of metrics and, when asked to, serves it until `stop`.
///
/// # Errors
/// When the address can't be bound.
pub async fn serve(args: &TelemetryArgs, ready: Readiness, stop: CancellationToken) -> anyhow::Result<()> {
    // Without a recorder nothing is kept of what is counted.
    let Some(address) = args.listen else { return Ok(()) };
    let seconds = Matcher::Suffix("_seconds".to_owned());
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(seconds, &SECONDS)
        .and_then(PrometheusBuilder::install_recorder)
        .context("the metrics recorder can't be installed")?;
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .with_context(|| format!("metrics can't be served at {address}: choose another --listen"))?;
    // What histograms are told is kept one by one until then, however seldom somebody asks for it.
    let upkeep = handle.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            upkeep.run_upkeep();
        }
    });
    tokio::spawn(async move {
        let served = axum::serve(listener, routes(handle, ready)).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = served.await {
            tracing::warn!(%error, "metrics are no longer served");
        }
    });
    Ok(())
}

fn routes(metrics: PrometheusHandle, ready: Readiness) -> Router {
    let render = move || {
        let page = metrics.render();
        async move { page }
    };
    let readiness = move || {
        let answer = match ready() {
            Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
            Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
        };
        async move { answer }
    };
    Router::new()
        .route("/metrics", get(render))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readiness))
}
