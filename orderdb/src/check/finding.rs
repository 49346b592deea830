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
    /// Name of the database, when several are checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// What was checked, such as `connection`.
    pub what: &'static str,
    pub state: State,
    /// What works, or what does not and what to do.
    pub detail: String,
}

/// Collects the findings about one service.
pub struct Findings {
    service: &'static str,
    database: Option<String>,
    pub all: Vec<Finding>,
}

impl Findings {
    pub fn about(service: &'static str) -> Self {
        Self { service, database: None, all: Vec::new() }
    }

    /// About one of several databases.
    pub fn of_database(service: &'static str, name: String) -> Self {
        Self { service, database: Some(name), all: Vec::new() }
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
        let database = self.database.clone();
        self.all.push(Finding { service: self.service, database, what, state, detail: detail.into() });
    }
}
