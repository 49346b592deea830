//! Finds the highest rate at which all requirements hold.
//!
//! The [`search`] tells which rate to probe next. The [`figures`] of a probe are [judged](judge), among them the
//! [growth of the lag](lag_growth); those of one that broke tell what is [saturated](saturation).

pub mod figures;
pub mod judge;
pub mod lag_growth;
pub mod saturation;
pub mod search;
#[cfg(test)]
mod tests;
