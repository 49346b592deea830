//! What happened to a program of a run.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::fault::Target;

/// A change of a program's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramEvent {
    pub at: DateTime<Utc>,
    pub target: Target,
    pub change: ProgramChange,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgramChange {
    Started,
    Killed,
    /// It ended after SIGTERM.
    Stopped,
    Paused,
    Resumed,
    /// A producer has ended by itself, with its summary written.
    Finished,
    /// It ended before it served its metrics; it has the exit status and the last line of the log.
    DidNotStart(String),
    /// It ended, and nobody told it to; it has the exit status and the last line of the log.
    EndedUnexpectedly(String),
}

impl ProgramEvent {
    pub fn now(target: Target, change: ProgramChange) -> Self {
        Self { at: Utc::now(), target, change }
    }

    pub fn is_unexpected(&self) -> bool {
        matches!(self.change, ProgramChange::EndedUnexpectedly(_))
    }
}

impl fmt::Display for ProgramEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = self.target;
        match &self.change {
            ProgramChange::Started => write!(f, "{target} started"),
            ProgramChange::Killed => write!(f, "{target} killed"),
            ProgramChange::Stopped => write!(f, "{target} stopped"),
            ProgramChange::Paused => write!(f, "{target} paused"),
            ProgramChange::Resumed => write!(f, "{target} resumed"),
            ProgramChange::Finished => write!(f, "{target} has sent all its orders"),
            ProgramChange::DidNotStart(why) => write!(f, "{target} did not start: {why}"),
            ProgramChange::EndedUnexpectedly(why) => write!(f, "{target} ended unexpectedly: {why}"),
        }
    }
}
