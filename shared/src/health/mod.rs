//! The health of a program: the state of each service that it depends on, for `/readyz`, `/status` and the log.
//!
//! A program reports and resolves its own kinds of [`issues`]. They make the [`status`] of each [`dependency`].

mod dependency;
mod issues;
mod status;

pub use self::{
    dependency::{Dependency, DependencyState},
    issues::{Health, HealthIssue},
    status::{CurrentIssue, DependencyStatus, HealthStatus, LastError, StatusSource},
};
