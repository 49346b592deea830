//! The HTTP server of a program, and the recorder of its metrics.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context;
use chrono::Utc;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;
use tokio_util::sync::CancellationToken;

use super::{
    pages::{Pages, routes},
    program_info::ProgramInfo,
};
use crate::{
    health::StatusSource,
    metrics::{self, BUILD_INFO},
};

/// The address of the pages.
#[derive(Clone, Debug, clap::Args)]
pub struct TelemetrySettings {
    /// Serve /metrics (Prometheus), /healthz, /readyz and /status at this address, such as 127.0.0.1:9464; without it
    /// nothing is served.
    #[arg(long, env = "ORDERFLOW_LISTEN", value_name = "ADDRESS:PORT", help_heading = "Telemetry")]
    pub listen: Option<SocketAddr>,
}

/// Upper bounds, in seconds, of the buckets of every histogram whose name ends in `_seconds`. Some stages of an order
/// take less than 50 µs.
const SECONDS_BUCKETS: [f64; 20] = [
    0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0,
    5.0, 10.0, 60.0,
];
/// Upper bounds of the buckets of every histogram whose name ends in `_rows`.
const ROWS_BUCKETS: [f64; 11] = [1.0, 2.0, 5.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0, 100_000.0];
/// How often the recorder moves recorded values into the buckets.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Installs the metrics recorder and serves the pages until `stop` is cancelled. Does nothing without an address:
/// metrics are then not recorded at all. The program registers its own metrics afterwards.
///
/// # Errors
/// When the address can't be bound, or a recorder is installed already.
pub async fn serve(
    args: &TelemetrySettings,
    program: ProgramInfo,
    status: StatusSource,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let Some(address) = args.listen else { return Ok(()) };
    let (metrics, process) = install_recorder(program)?;
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .with_context(|| format!("metrics can't be served at {address}: choose another address with --listen"))?;
    // The recorder stores each value of a histogram until the upkeep or a scrape. Without the upkeep, memory would grow
    // for as long as nothing scrapes the metrics.
    let upkeep = metrics.clone();
    // A panic stops the program.
    let [stop_at_panic, stop_at_panic_of_server] = [stop.clone(), stop.clone()].map(CancellationToken::drop_guard);
    tokio::spawn(async move {
        let _stop_at_panic = stop_at_panic;
        loop {
            tokio::time::sleep(UPKEEP_INTERVAL).await;
            upkeep.run_upkeep();
        }
    });
    let pages = Pages { program, started_at: Utc::now(), status, metrics, process };
    tokio::spawn(async move {
        let served = axum::serve(listener, routes(pages)).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = served.await {
            tracing::warn!("metrics and health are no longer served at {address}: {error}");
        }
        stop_at_panic_of_server.disarm();
    });
    Ok(())
}

/// Installs the recorder with the metrics that every program has: its build, and those of its process.
fn install_recorder(program: ProgramInfo) -> anyhow::Result<(PrometheusHandle, Collector)> {
    let suffix = |suffix: &str| Matcher::Suffix(suffix.to_owned());
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(suffix("_seconds"), &SECONDS_BUCKETS)
        .and_then(|builder| builder.set_buckets_for_metric(suffix("_rows"), &ROWS_BUCKETS))
        .and_then(PrometheusBuilder::install_recorder)
        .context("the metrics recorder can't be installed")?;
    metrics::describe();
    let ProgramInfo { program, version } = program;
    ::metrics::gauge!(BUILD_INFO, "program" => program, "version" => version).set(1.0);
    let process = Collector::default();
    process.describe();
    Ok((recorder, process))
}
