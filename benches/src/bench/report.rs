//! Prints the result of a bench.

use serde::Serialize;
use shared::{program::OutputFormat, report::Report};

/// Prints `result` as JSON, or as the tables of `report`.
pub fn print<Measured: Serialize>(
    result: &Measured,
    output: OutputFormat,
    report: fn(&Measured) -> Report,
) -> anyhow::Result<()> {
    match output {
        OutputFormat::Json => println!("{}", serde_json::to_string_pretty(result)?),
        OutputFormat::Text => println!("{}", report(result)),
    }
    Ok(())
}

/// The median; of an even number of values, the mean of the two in the middle. `values` must not be empty.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_value_or_the_mean_of_the_middle_two() {
        assert_eq!((median(vec![3.0, 1.0, 2.0]), median(vec![4.0, 1.0, 2.0, 3.0])), (2.0, 2.5));
    }
}
