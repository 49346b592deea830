//! The distribution of the due times.

use clap::ValueEnum;

/// The distribution of the due times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Arrival {
    /// Evenly spaced.
    #[default]
    Constant,
    /// A Poisson process: exponential intervals, as of many independent buyers.
    Poisson,
}
