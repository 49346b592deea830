//! The issues that a program has at the moment.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};

use super::{
    dependency::{Dependency, DependencyState},
    status::{CurrentIssue, DependencyStatus, HealthStatus, LastError, StatusSource},
};

/// A kind of issue of a dependency.
pub trait HealthIssue: Copy + Ord + fmt::Debug + Send + 'static {
    /// All dependencies that the program may have.
    const DEPENDENCIES: &'static [Dependency];

    /// What has the issue.
    fn dependency(self) -> Dependency;

    /// The state of the dependency while it has this issue. The program is ready while no dependency is down.
    fn state(self) -> DependencyState {
        DependencyState::Down
    }

    /// What the program does until the issue is resolved, such as `retries until it succeeds`.
    fn action(self) -> &'static str;

    /// The log line for a resolved issue. It names the dependency, such as `PostgreSQL: working again`.
    fn resolution(self) -> Cow<'static, str>;
}

#[derive(Debug)]
struct State<Issue> {
    issues: BTreeMap<Issue, Reported>,
    dependencies: BTreeMap<Dependency, History>,
}

#[derive(Debug)]
struct Reported {
    message: String,
    since: DateTime<Utc>,
}

#[derive(Debug)]
struct History {
    state: DependencyState,
    since: DateTime<Utc>,
    last_error: Option<LastError>,
}

impl<Issue: HealthIssue> State<Issue> {
    /// To be called after each change of the issues of `dependency`.
    fn update(&mut self, dependency: Dependency, now: DateTime<Utc>, error: Option<LastError>) {
        let issues = self.issues.keys().filter(|issue| issue.dependency() == dependency);
        let state = issues.map(|issue| issue.state()).max().unwrap_or(DependencyState::Up);
        let Some(history) = self.dependencies.get_mut(&dependency) else { return };
        if state != history.state {
            (history.state, history.since) = (state, now);
        }
        history.last_error = error.or_else(|| history.last_error.take());
    }
}

/// The issues that a program has at the moment, each with its message. An issue is logged once when it is first reported
/// and once when it is resolved.
#[derive(Debug)]
pub struct Health<Issue> {
    state: Mutex<State<Issue>>,
}

impl<Issue: HealthIssue> Default for Health<Issue> {
    fn default() -> Self {
        let now = Utc::now();
        let unknown = |dependency: &Dependency| {
            (*dependency, History { state: DependencyState::Unknown, since: now, last_error: None })
        };
        let dependencies = Issue::DEPENDENCIES.iter().map(unknown).collect();
        Self { state: Mutex::new(State { issues: BTreeMap::new(), dependencies }) }
    }
}

impl<Issue: HealthIssue> Health<Issue> {
    /// Starts with `issue`, so that the program is not ready until it resolves it. It is not logged, and no error.
    pub fn with_issue(issue: Issue, message: &str) -> Self {
        let (health, now) = (Self::default(), Utc::now());
        let mut state = health.lock();
        state.issues.insert(issue, Reported { message: message.to_owned(), since: now });
        state.update(issue.dependency(), now, None);
        drop(state);
        health
    }

    /// The health of a program that does not use `dependency`, by its settings: the status does not have it.
    #[must_use]
    pub fn without(self, dependency: Dependency) -> Self {
        self.lock().dependencies.remove(&dependency);
        self
    }

    fn lock(&self) -> MutexGuard<'_, State<Issue>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports an issue. The first report is logged as a warning. Later ones, until the issue is resolved, replace the
    /// message and are logged at level debug.
    pub fn report(&self, issue: Issue, message: String) {
        let now = Utc::now();
        let mut state = self.lock();
        let before = state.issues.remove(&issue);
        let since = before.as_ref().map_or(now, |before| before.since);
        state.issues.insert(issue, Reported { message: message.clone(), since });
        state.update(issue.dependency(), now, Some(LastError { at: now, message: message.clone() }));
        drop(state);
        match before {
            Some(before) => tracing::debug!("{message}; previously: {}", before.message),
            None => tracing::warn!(dependency = %issue.dependency(), "{message}"),
        }
    }

    /// Resolves an issue and logs its [`HealthIssue::resolution`]. When the issue was not reported, it only
    /// [confirms](Self::confirm) that the dependency works.
    pub fn resolve(&self, issue: Issue) {
        if self.remove(issue) {
            tracing::info!(dependency = %issue.dependency(), "{}", issue.resolution());
        } else {
            self.confirm(issue.dependency());
        }
    }

    /// Records that a dependency works, after its first use: it is up instead of unknown. An issue stays.
    pub fn confirm(&self, dependency: Dependency) {
        let mut state = self.lock();
        if let Some(history) = state.dependencies.get_mut(&dependency)
            && history.state == DependencyState::Unknown
        {
            (history.state, history.since) = (DependencyState::Up, Utc::now());
        }
    }

    /// Removes an issue without a log line, for one whose state no longer matters (a partition that was revoked).
    pub fn forget(&self, issue: Issue) {
        self.remove(issue);
    }

    fn remove(&self, issue: Issue) -> bool {
        let mut state = self.lock();
        let was_reported = state.issues.remove(&issue).is_some();
        if was_reported {
            state.update(issue.dependency(), Utc::now(), None);
        }
        was_reported
    }

    /// The issues at the moment.
    pub fn current(&self) -> Vec<Issue> {
        self.lock().issues.keys().copied().collect()
    }

    /// The state of all dependencies at the moment.
    pub fn status(&self) -> HealthStatus {
        let state = self.lock();
        let issues_of = |name: Dependency| {
            let issues = state.issues.iter().filter(|(issue, _)| issue.dependency() == name);
            let current = issues.map(|(issue, reported)| CurrentIssue {
                since: reported.since,
                message: reported.message.clone(),
                action: issue.action(),
            });
            current.collect()
        };
        let dependencies = state.dependencies.iter().map(|(name, history)| DependencyStatus {
            name: *name,
            state: history.state,
            since: history.since,
            issues: issues_of(*name),
            last_error: history.last_error.clone(),
        });
        HealthStatus { dependencies: dependencies.collect() }
    }

    /// A function that the pages of [`crate::telemetry::serve`] call.
    pub fn source(self: &Arc<Self>) -> StatusSource
    where
        Self: Send + Sync,
    {
        let health = self.clone();
        Arc::new(move || health.status())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    enum Issue {
        Unreachable,
        Slow,
        CacheMissing,
    }

    impl HealthIssue for Issue {
        const DEPENDENCIES: &'static [Dependency] = &[Dependency::Redis, Dependency::Postgres];

        fn dependency(self) -> Dependency {
            match self {
                Self::Unreachable | Self::Slow => Dependency::Postgres,
                Self::CacheMissing => Dependency::Redis,
            }
        }

        fn state(self) -> DependencyState {
            match self {
                Self::Unreachable | Self::Slow => DependencyState::Down,
                Self::CacheMissing => DependencyState::Degraded,
            }
        }

        fn action(self) -> &'static str {
            "retries"
        }

        fn resolution(self) -> Cow<'static, str> {
            "the dependency: working again".into()
        }
    }

    #[test]
    fn a_program_is_ready_once_each_issue_is_resolved_or_forgotten() {
        let health = Health::with_issue(Issue::Unreachable, "no answer");
        health.report(Issue::Slow, "slow".to_owned());
        health.report(Issue::Slow, "still slow".to_owned());
        assert_eq!(health.status().reasons(), ["no answer", "still slow"]);
        health.resolve(Issue::Unreachable);
        assert!(health.status().ready().is_err());
        health.forget(Issue::Slow);
        assert_eq!(health.status().ready(), Ok(()));
    }

    #[test]
    fn the_status_has_every_dependency_with_its_issues_and_its_last_error() {
        let health = Health::default();
        let of = |name| health.status().dependencies.into_iter().find(|dependency| dependency.name == name).unwrap();
        assert_eq!(of(Dependency::Postgres).state, DependencyState::Unknown);
        health.resolve(Issue::Unreachable);
        let up_since = of(Dependency::Postgres).since;
        assert_eq!(of(Dependency::Postgres).state, DependencyState::Up);

        health.report(Issue::Unreachable, "lost".to_owned());
        health.report(Issue::Unreachable, "refused".to_owned());
        let postgres = of(Dependency::Postgres);
        assert_eq!((postgres.state, postgres.issues.len()), (DependencyState::Down, 1));
        assert!(postgres.since > up_since && postgres.issues[0].since == postgres.since);
        assert_eq!((postgres.issues[0].message.as_str(), postgres.issues[0].action), ("refused", "retries"));
        assert_eq!(postgres.last_error.unwrap().message, "refused");

        health.resolve(Issue::Unreachable);
        let postgres = of(Dependency::Postgres);
        assert_eq!((postgres.state, postgres.issues.len()), (DependencyState::Up, 0));
        assert_eq!(postgres.last_error.unwrap().message, "refused");
    }

    #[test]
    fn a_dependency_is_unknown_until_it_was_used_and_left_out_if_it_never_is() {
        let health = Health::<Issue>::default().without(Dependency::Redis);
        let states = || {
            let dependencies = health.status().dependencies;
            dependencies.into_iter().map(|dependency| (dependency.name, dependency.state)).collect::<Vec<_>>()
        };
        assert_eq!(states(), [(Dependency::Postgres, DependencyState::Unknown)]);
        assert_eq!(health.status().ready(), Ok(()));
        health.resolve(Issue::CacheMissing);
        assert_eq!(states(), [(Dependency::Postgres, DependencyState::Unknown)]);
        health.confirm(Dependency::Postgres);
        assert_eq!(states(), [(Dependency::Postgres, DependencyState::Up)]);
        health.report(Issue::Slow, "slow".to_owned());
        health.confirm(Dependency::Postgres);
        assert_eq!(states(), [(Dependency::Postgres, DependencyState::Down)]);
    }

    #[test]
    fn a_degraded_dependency_leaves_the_program_ready() {
        let health = Health::default();
        health.report(Issue::CacheMissing, "no answer".to_owned());
        let status = health.status();
        assert!(status.ready().is_ok() && status.reasons().is_empty());
        assert_eq!(status.dependencies[1].name, Dependency::Redis);
        assert_eq!(status.dependencies[1].state, DependencyState::Degraded);
    }
}
