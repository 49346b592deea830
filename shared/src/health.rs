//! The health of a program: the issues that it has at the moment, for `/readyz` and the log.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::telemetry::Readiness;

/// A kind of issue that makes a program not ready, such as a lost dependency.
pub trait HealthIssue: Copy + Ord + fmt::Debug + Send + 'static {
    /// The log line for a resolved issue. It names the dependency, such as `PostgreSQL: working again`.
    fn resolution(self) -> Cow<'static, str>;
}

/// The issues that a program has at the moment, each with its message. The program is ready when there is none. An
/// issue is logged once when it is first reported and once when it is resolved.
#[derive(Debug)]
pub struct Health<Issue> {
    issues: Mutex<BTreeMap<Issue, String>>,
}

impl<Issue: HealthIssue> Default for Health<Issue> {
    fn default() -> Self {
        Self { issues: Mutex::default() }
    }
}

impl<Issue: HealthIssue> Health<Issue> {
    /// Starts with `issue`, so that the program is not ready until it resolves it. It is not logged.
    pub fn with_issue(issue: Issue, message: &str) -> Self {
        Self { issues: Mutex::new(BTreeMap::from([(issue, message.to_owned())])) }
    }

    fn issues(&self) -> MutexGuard<'_, BTreeMap<Issue, String>> {
        self.issues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports an issue. The first report is logged as a warning. Later ones, until the issue is resolved, replace the
    /// message and are logged at level debug.
    pub fn report(&self, issue: Issue, message: String) {
        if let Some(before) = self.issues().insert(issue, message.clone()) {
            tracing::debug!("{message}; previously: {before}");
        } else {
            tracing::warn!("{message}");
        }
    }

    /// Resolves an issue and logs its [`HealthIssue::resolution`]. Does nothing when the issue was not reported.
    pub fn resolve(&self, issue: Issue) {
        if self.issues().remove(&issue).is_some() {
            tracing::info!("{}", issue.resolution());
        }
    }

    /// Removes an issue without a log line, for one whose state no longer matters (a partition that was revoked).
    pub fn forget(&self, issue: Issue) {
        self.issues().remove(&issue);
    }

    /// The issues at the moment.
    pub fn current(&self) -> Vec<Issue> {
        self.issues().keys().copied().collect()
    }

    /// Returns `Ok` when there is no issue.
    ///
    /// # Errors
    /// The messages of all issues, separated by `; `.
    pub fn ready(&self) -> Result<(), String> {
        let issues = self.issues();
        if issues.is_empty() { Ok(()) } else { Err(issues.values().cloned().collect::<Vec<_>>().join("; ")) }
    }

    /// A function that `/readyz` calls, see [`crate::telemetry::serve`].
    pub fn readiness(self: &Arc<Self>) -> Readiness
    where
        Self: Send + Sync,
    {
        let health = self.clone();
        Arc::new(move || health.ready())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    enum Issue {
        Redis,
        Database,
    }

    impl HealthIssue for Issue {
        fn resolution(self) -> Cow<'static, str> {
            "the dependency: working again".into()
        }
    }

    #[test]
    fn a_program_is_ready_once_each_reported_issue_is_resolved_or_forgotten() {
        let health = Arc::new(Health::with_issue(Issue::Redis, "no answer"));
        health.report(Issue::Database, "lost".to_owned());
        health.report(Issue::Database, "still lost".to_owned());
        assert_eq!(health.readiness()(), Err("no answer; still lost".to_owned()));
        health.resolve(Issue::Redis);
        health.forget(Issue::Database);
        assert_eq!(health.ready(), Ok(()));
    }
}
