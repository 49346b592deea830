//! Prints the result of a bench.

use std::fmt::Display;

use serde::Serialize;
use shared::program::OutputFormat;

/// Prints `result` as JSON, or as the tables of `report`.
pub fn print<Measured: Serialize, Tables: Display>(
    result: &Measured,
    output: OutputFormat,
    report: fn(&Measured) -> Tables,
) -> anyhow::Result<()> {
    match output {
        OutputFormat::Json => println!("{}", serde_json::to_string_pretty(result)?),
        OutputFormat::Text => println!("{}", report(result)),
    }
    Ok(())
}
