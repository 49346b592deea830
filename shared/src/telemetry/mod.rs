//! Logs on stderr, or [diverted](divert_logs); metrics and health over HTTP.

mod divert;
mod json;
mod logs;
mod metric_names;
mod pages;
mod program_info;
mod server;

pub(crate) use self::divert::end_diversion;
pub use self::{
    divert::{DivertedLogs, divert_logs},
    json::log_run_id,
    logs::{LOG_FORMAT_VARIABLE, LogFormat, LogSettings, Logging},
    program_info::ProgramInfo,
    server::{TelemetrySettings, serve},
};
