//! Reports a run: [`progress`] while it lasts, and at its end the [`summary`] with its [`verdict`], printed as
//! [`text`].

pub mod progress;
pub mod summary;
pub mod text;
pub mod verdict;
