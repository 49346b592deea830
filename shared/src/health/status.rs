//! The status of a program, as `/status` shows it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::dependency::{Dependency, DependencyState};

/// An error of a dependency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LastError {
    /// When it was reported last.
    pub at: DateTime<Utc>,
    /// What failed, and how.
    pub message: String,
}

/// An issue that a dependency has at the moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CurrentIssue {
    /// When it was first reported.
    pub since: DateTime<Utc>,
    /// As it was reported last.
    pub message: String,
    /// What the program does until it is resolved.
    pub action: &'static str,
}

/// A dependency, with its issues.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DependencyStatus {
    /// What the program depends on.
    pub name: Dependency,
    /// The worst state of its issues.
    pub state: DependencyState,
    /// When it changed to this state.
    pub since: DateTime<Utc>,
    /// What is wrong with it at the moment.
    pub issues: Vec<CurrentIssue>,
    /// The last error, also after it was resolved.
    pub last_error: Option<LastError>,
}

/// The status of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HealthStatus {
    /// All dependencies that the program uses.
    pub dependencies: Vec<DependencyStatus>,
}

impl HealthStatus {
    /// The messages of the dependencies that are down. The program is ready when there are none.
    pub fn reasons(&self) -> Vec<&str> {
        let down = self.dependencies.iter().filter(|dependency| dependency.state == DependencyState::Down);
        down.flat_map(|dependency| &dependency.issues).map(|issue| issue.message.as_str()).collect()
    }

    /// Whether no dependency is down.
    pub fn is_ready(&self) -> bool {
        self.reasons().is_empty()
    }

    /// # Errors
    /// When the program is not ready: the messages.
    pub fn ready(&self) -> Result<(), String> {
        let reasons = self.reasons();
        if reasons.is_empty() { Ok(()) } else { Err(reasons.join("; ")) }
    }
}

/// Returns the status at the moment; called for each request.
pub type StatusSource = Arc<dyn Fn() -> HealthStatus + Send + Sync>;
