//! Logs on stderr, or [diverted](divert_logs); metrics and health over HTTP.

mod divert;

use std::{io::IsTerminal, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{Router, http::StatusCode, routing::get};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

pub use divert::{DivertedLogs, divert_logs};

/// Starts logging to stderr, at level `info` if `RUST_LOG` is not set. librdkafka's own log lines are off by default,
/// since the programs report the same events themselves.
///
/// # Panics
/// When it is called twice.
pub fn start_logging() {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,librdkafka=off,rdkafka=off,tokio_postgres=warn"));
    let colors = std::io::stderr().is_terminal();
    let lines = fmt::layer()
        // It would print a failed write to stderr, which panics when stderr is a terminal that went away.
        .log_internal_errors(false)
        .with_writer(divert::stderr_unless_diverted)
        .with_ansi(colors)
        .with_target(false);
    tracing_subscriber::registry().with(filter).with(lines).with(divert::DivertLayer).init();
}

/// The address of `/metrics`, `/healthz` and `/readyz`.
#[derive(Clone, Debug, clap::Args)]
pub struct TelemetrySettings {
    /// Serve /metrics (Prometheus), /healthz and /readyz at this address, such as 127.0.0.1:9464; without it nothing is
    /// served.
    #[arg(long, env = "ORDERFLOW_LISTEN", value_name = "ADDRESS:PORT", help_heading = "Telemetry")]
    pub listen: Option<SocketAddr>,
}

/// Upper bounds, in seconds, of the buckets of every histogram whose name ends in `_seconds`.
const SECONDS_BUCKETS: [f64; 16] =
    [0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0];
/// How often the recorder moves recorded values into the buckets.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Returns `Ok` when the program is ready, else the reason. `/readyz` calls it for each request.
pub type Readiness = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Installs the metrics recorder and serves metrics and health until `stop` is cancelled. Does nothing without an
/// address: metrics are then not recorded at all.
///
/// # Errors
/// When the address can't be bound, or a recorder is installed already.
pub async fn serve(args: &TelemetrySettings, ready: Readiness, stop: CancellationToken) -> anyhow::Result<()> {
    let Some(address) = args.listen else { return Ok(()) };
    let seconds = Matcher::Suffix("_seconds".to_owned());
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(seconds, &SECONDS_BUCKETS)
        .and_then(PrometheusBuilder::install_recorder)
        .context("the metrics recorder can't be installed")?;
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .with_context(|| format!("metrics can't be served at {address}: choose another address with --listen"))?;
    // The recorder stores each value of a histogram until the upkeep or a scrape. Without the upkeep, memory would grow
    // for as long as nothing scrapes the metrics.
    let upkeep = handle.clone();
    // A panic stops the program.
    let [stop_at_panic, stop_at_panic_of_server] = [stop.clone(), stop.clone()].map(CancellationToken::drop_guard);
    tokio::spawn(async move {
        let _stop_at_panic = stop_at_panic;
        loop {
            tokio::time::sleep(UPKEEP_INTERVAL).await;
            upkeep.run_upkeep();
        }
    });
    tokio::spawn(async move {
        let served = axum::serve(listener, routes(handle, ready)).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = served.await {
            tracing::warn!("metrics and health are no longer served at {address}: {error}");
        }
        stop_at_panic_of_server.disarm();
    });
    Ok(())
}

fn routes(metrics: PrometheusHandle, ready: Readiness) -> Router {
    let render = move || {
        let page = metrics.render();
        async move { page }
    };
    let readiness = move || {
        let response = match ready() {
            Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
            Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
        };
        async move { response }
    };
    Router::new()
        .route("/metrics", get(render))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readiness))
}
