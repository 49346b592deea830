//! Finds the highest rate at which all requirements hold.
//!
//! The [`command`] prepares a pipeline of its own, and a [`session`] asks the [`search`] which rate is next. A [`probe`]
//! sends at that rate, until its end or an [`overload`]. Its [`figures`], with the [CPU of the machine](machine_cpu), are
//! [judged](judge), and so is the [growth of the lag](lag_growth). Those of a probe that broke tell what is
//! [saturated](saturation). The [`report`] has all of it, as JSON, [`text`] and a [`page`].

pub mod command;
pub mod figures;
pub mod judge;
pub mod lag_growth;
mod machine_cpu;
mod overload;
mod page;
mod probe;
pub mod report;
pub mod saturation;
pub mod search;
mod session;
#[cfg(test)]
mod tests;
mod text;

pub use self::command::run_find_max;
