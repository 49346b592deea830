//! Side by side in one run, on the same machine and the same services: what our programs reach, and what others do. Only
//! ratios are worth telling; the machine's own speed comes and goes.

pub mod bare_loop;
pub mod cache;
mod corner;
pub mod perf_test;
pub mod producer;
pub mod sink;

use serde::Serialize;
use shared::{program::OutputFormat, report::Report};

/// Prints what a bench found.
fn print<Found: Serialize>(found: &Found, output: OutputFormat, report: fn(&Found) -> Report) -> anyhow::Result<()> {
    match output {
        OutputFormat::Json => println!("{}", serde_json::to_string_pretty(found)?),
        OutputFormat::Text => println!("{}", report(found)),
    }
    Ok(())
}

/// The middle one, or the middle between the two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!((median(vec![3.0, 1.0, 2.0]), median(vec![4.0, 1.0, 2.0, 3.0])), (2.0, 2.5));
    }
}
