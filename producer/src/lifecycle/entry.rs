//! The entries of a table of the file, and where they are written.

use std::{fmt::Display, ops::Range};

use toml_edit::{Item, TableLike};

use super::problem::Problem;

/// Refuses keys that are not `known`.
pub fn check_keys(table: &dyn TableLike, name: &str, known: &[&str]) -> Result<(), Problem> {
    match table.iter().find(|(key, _)| !known.contains(key)) {
        None => Ok(()),
        Some((key, _)) => {
            let help = format!("the keys are: {}", list(known));
            Err(Problem::new(span(table, key), format!("unknown key `{key}` in {name}"), "unknown key", help))
        }
    }
}

/// The value of a key that must be there.
pub fn required<'a>(
    table: &'a dyn TableLike,
    key: &str,
    branch: &str,
    place: &Range<usize>,
) -> Result<&'a Item, Problem> {
    table.get(key).ok_or_else(|| {
        let help = if key == "weight" { "such as weight = 1" } else { "such as delay = \"5s\"" };
        Problem::new(place.clone(), format!("`{branch}` has no `{key}`"), format!("`{key}` is missing"), help)
    })
}

/// An integer or another number.
pub fn number(item: &Item) -> Option<f64> {
    item.as_float().or_else(|| item.as_integer().map(|number| number as f64))
}

/// A value as it is written, or its type.
pub fn written(item: &Item) -> String {
    match item.as_value() {
        Some(value) if !item.is_table_like() => value.to_string().trim().to_owned(),
        None if item.is_array_of_tables() => "an array of tables".to_owned(),
        _ => "a table".to_owned(),
    }
}

/// Where a key is written.
pub fn span(table: &dyn TableLike, key: &str) -> Range<usize> {
    table.key(key).and_then(toml_edit::Key::span).unwrap_or(0..0)
}

/// The names in backticks.
pub fn list(names: &[impl Display]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
