//! The name and the version of a program.

use serde::Serialize;

/// A program, as its pages, metrics, traces and log lines name it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ProgramInfo {
    /// Its name, such as `consumer`.
    pub program: &'static str,
    /// Its version, such as `0.1.0`.
    pub version: &'static str,
}
