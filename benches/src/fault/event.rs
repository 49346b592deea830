use std::{fmt, time::Duration};

use chrono::{DateTime, Utc};
use serde::Serialize;

/// A line of the fault log: a fault began, ended, or failed to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FaultEvent {
    pub at: DateTime<Utc>,
    /// Such as `kill kafka-2`.
    pub fault: String,
    #[serde(flatten)]
    pub change: FaultChange,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum FaultChange {
    /// It has taken effect. `lasting` is the planned duration.
    Began {
        #[serde(skip)]
        lasting: Option<Duration>,
    },
    /// It is undone, and what was broken is ready again.
    Ended,
    /// It did not begin.
    Refused { error: String },
    /// It can't be undone.
    Stuck { error: String },
}

impl FaultChange {
    /// Why it did not begin, or is not undone.
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Refused { error } | Self::Stuck { error } => Some(error),
            Self::Began { .. } | Self::Ended => None,
        }
    }
}

impl fmt::Display for FaultEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fault = &self.fault;
        match &self.change {
            FaultChange::Began { lasting: Some(lasting) } => {
                write!(f, "{fault}: begun, for {}", humantime::format_duration(*lasting))
            }
            FaultChange::Began { lasting: None } => write!(f, "{fault}: begun"),
            FaultChange::Ended => write!(f, "{fault}: undone, and ready again"),
            FaultChange::Refused { error } => write!(f, "{fault}: not begun: {error}"),
            FaultChange::Stuck { error } => write!(f, "{fault}: NOT undone: {error}"),
        }
    }
}
