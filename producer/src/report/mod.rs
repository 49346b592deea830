//! Reports a run: [`progress`] while it lasts, and at its end the [`summary`] with its [`verdict`] and
//! the [`requirements`] of the user, printed as [`text`].

pub mod progress;
pub mod requirements;
pub mod summary;
pub mod text;
pub mod verdict;
