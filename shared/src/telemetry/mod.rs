//! Logs on stderr, or [diverted](divert_logs); metrics and health over HTTP.

mod divert;
mod json;
mod logs;
mod metric_names;
mod pages;
mod server;

pub use self::{
    divert::{DivertedLogs, divert_logs},
    json::log_run_id,
    logs::{LOG_FORMAT_VARIABLE, LogFormat, LogSettings, Logging},
    server::{ProgramInfo, TelemetrySettings, serve},
};
