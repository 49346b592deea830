//! A delay as it is written in the file of a lifecycle.

use std::{ops::Range, time::Duration};

use toml_edit::{Item, TableLike};

use super::{
    entry::{check_keys, written},
    model::{Delay, MAX_HISTORY},
    problem::Problem,
};

const FORMS: &str = "\"5s\", { from = \"1s\", to = \"5s\" } or { mean = \"3s\", max = \"20s\" }";

/// Reads a delay, whose key is at `place`.
pub fn read(item: &Item, place: Range<usize>) -> Result<Delay, Problem> {
    let place = item.span().unwrap_or(place);
    if item.is_str() {
        return micros(item, &place, "delay").map(Delay::Constant);
    }
    let Some(table) = item.as_table_like() else {
        let label = "expected a duration with its unit, or a table";
        return Err(Problem::new(place, format!("`delay` can't be {}", written(item)), label, forms()));
    };
    check_keys(table, "`delay`", &["from", "to", "mean", "max"])?;
    let read = |key: &str| table.get(key).map(|item| micros(item, &place, key)).transpose();
    match (read("from")?, read("to")?, read("mean")?, read("max")?) {
        (Some(from), Some(to), None, None) => uniform(from, to, table, place),
        (None, None, Some(mean), Some(max)) => exponential(mean, max, table, place),
        _ => {
            let label = "expected either `from` and `to`, or `mean` and `max`";
            Err(Problem::new(place, "`delay` has not the keys of one distribution", label, forms()))
        }
    }
}

fn uniform(from: u64, to: u64, table: &dyn TableLike, place: Range<usize>) -> Result<Delay, Problem> {
    if from <= to {
        return Ok(Delay::Uniform { from, to });
    }
    let place = table.get("from").and_then(Item::span).unwrap_or(place);
    Err(Problem::new(place, "`from` is above `to`", "the shortest delay", "exchange them"))
}

fn exponential(mean: u64, max: u64, table: &dyn TableLike, place: Range<usize>) -> Result<Delay, Problem> {
    if mean <= max {
        return Ok(Delay::Exponential { mean, max });
    }
    let place = table.get("mean").and_then(Item::span).unwrap_or(place);
    Err(Problem::new(place, "`mean` is above `max`", "the mean delay", "longer delays become `max`: make it larger"))
}

/// A duration in microseconds.
fn micros(item: &Item, place: &Range<usize>, key: &str) -> Result<u64, Problem> {
    let wrong = |label: String| {
        let place = item.span().unwrap_or_else(|| place.clone());
        Problem::new(place, format!("`{key}` can't be {}", written(item)), label, forms())
    };
    let parsed = item.as_str().and_then(|text| humantime::parse_duration(text).ok());
    let duration =
        parsed.ok_or_else(|| wrong("expected a duration with its unit, such as \"5s\" or \"500ms\"".to_owned()))?;
    if duration > MAX_HISTORY {
        return Err(wrong(format!("expected at most {}", humantime::format_duration(MAX_HISTORY))));
    }
    Ok(whole_micros(duration))
}

fn whole_micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn forms() -> String {
    format!("a delay is one of: {FORMS}")
}
