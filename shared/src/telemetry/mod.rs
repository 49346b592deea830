//! Logs on stderr, or [diverted](divert_logs); metrics and health over HTTP.

mod divert;
mod metric_names;
mod pages;
mod server;

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

pub use self::{
    divert::{DivertedLogs, divert_logs},
    server::{ProgramInfo, TelemetrySettings, serve},
};

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
