//! Reports a run: [`progress`] while it lasts, and at its end the [`summary`] with its [`verdict`], printed as a
//! [`table`].

pub mod progress;
pub mod summary;
pub mod table;
pub mod verdict;
