//! What a check found.

use std::fmt;

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ok,
    /// The programs work, but not as well as they could.
    Warning,
    /// The programs do not work.
    Failed,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "FAILED",
        })
    }
}

/// One row of the result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub service: &'static str,
    /// What was checked, such as `connection`.
    pub what: &'static str,
    pub state: State,
    /// What works, or what does not and what to do.
    pub detail: String,
}

/// Collects the findings about one service.
pub struct Findings {
    service: &'static str,
    pub all: Vec<Finding>,
}

impl Findings {
    pub fn about(service: &'static str) -> Self {
        Self { service, all: Vec::new() }
    }

    pub fn ok(&mut self, what: &'static str, detail: impl Into<String>) {
        self.add(what, State::Ok, detail);
    }

    pub fn warning(&mut self, what: &'static str, detail: impl Into<String>) {
        self.add(what, State::Warning, detail);
    }

    pub fn failed(&mut self, what: &'static str, detail: impl Into<String>) {
        self.add(what, State::Failed, detail);
    }

    fn add(&mut self, what: &'static str, state: State, detail: impl Into<String>) {
        self.all.push(Finding { service: self.service, what, state, detail: detail.into() });
    }
}
