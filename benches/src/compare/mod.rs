//! Compares the figures of several runs a side, and judges runs by a baseline.
//!
//! [`load`] reads reports and baseline files into the [`figures`] of each run. A [`comparison`] tests each figure with
//! the exact [`statistics`] of small samples and names the [`differences`] of the sides; the [`gate`] judges it. [`text`]
//! prints both. [`turns`] makes the runs of two builds before they are compared.

pub mod comparison;
pub mod differences;
pub mod figures;
pub mod gate;
pub mod load;
pub mod run;
pub mod statistics;
mod text;
mod turns;

pub use self::run::{run_compare, run_gate};
