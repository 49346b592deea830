//! Whether a program can do its work right now: the issues that keep it from its work, for `/readyz` and the log.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::telemetry::Readiness;

/// A kind of issue that may keep a program from its work.
pub trait HealthIssue: Copy + Ord + fmt::Debug + Send + 'static {
    /// What the log says once the issue is resolved; it names the dependency.
    fn resolution(self) -> &'static str;
}

/// The issues that a program has right now. Each is logged once when it is reported and once when it is resolved.
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
    /// A program that has `issue` until it resolves it.
    pub fn with_issue(issue: Issue, message: &str) -> Self {
        Self { issues: Mutex::new(BTreeMap::from([(issue, message.to_owned())])) }
    }

    fn issues(&self) -> MutexGuard<'_, BTreeMap<Issue, String>> {
        self.issues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports an issue. It is logged as a warning the first time, until [`Self::resolve`].
    pub fn report(&self, issue: Issue, message: String) {
        if let Some(before) = self.issues().insert(issue, message.clone()) {
            tracing::debug!("{message}; before: {before}");
        } else {
            tracing::warn!("{message}");
        }
    }

    /// Resolves an issue, if it was reported.
    pub fn resolve(&self, issue: Issue) {
        if self.issues().remove(&issue).is_some() {
            tracing::info!("{}", issue.resolution());
        }
    }

    /// Drops an issue without a word: whether it is resolved is not known, and nothing waits for it any more.
    pub fn forget(&self, issue: Issue) {
        self.issues().remove(&issue);
    }

    /// Whether there is no issue.
    ///
    /// # Errors
    /// The messages of all issues.
    pub fn ready(&self) -> Result<(), String> {
        let issues = self.issues();
        if issues.is_empty() { Ok(()) } else { Err(issues.values().cloned().collect::<Vec<_>>().join("; ")) }
    }

    /// The health as `/readyz` serves it.
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
        fn resolution(self) -> &'static str {
            "it works again"
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
