use clap::ValueEnum;
use comfy_table::Table;
use indicatif::{BinaryBytes, HumanCount};
use serde_json::{Value, json};
use shared::report::{align_right, table};

use super::state::{IndexState, Progress};
use crate::settings::OptionalIndex;

/// The optional indexes, as a table.
pub fn list(states: &[IndexState]) -> Table {
    let mut rows = table(["index of orders", "columns", "state", "size", "scans"]);
    align_right(&mut rows, 3..5);
    for index in OptionalIndex::value_variants() {
        let (name, columns) = (index.name(), index.columns());
        match states.iter().find(|state| state.index == *index) {
            None => rows.add_row([name, columns, "does not exist", "", ""]),
            Some(state) => {
                let progress = match state.progress {
                    Progress::Valid => "exists",
                    Progress::Building => "is being built",
                    Progress::Invalid => "INVALID",
                };
                let size = BinaryBytes(state.bytes.cast_unsigned()).to_string();
                let scans = HumanCount(state.scans.cast_unsigned()).to_string();
                rows.add_row([name, columns, progress, &size, &scans])
            }
        };
    }
    rows
}

/// The optional indexes, as JSON. `state` is null for one that does not exist.
///
/// # Errors
/// When a value can't be written as JSON.
pub fn json(states: &[IndexState]) -> serde_json::Result<String> {
    let index = |index: &OptionalIndex| -> Value {
        let state = states.iter().find(|state| state.index == *index);
        json!({
            "name": index.name(),
            "columns": index.columns(),
            "state": state.map(|state| state.progress),
            "bytes": state.map(|state| state.bytes),
            "scans": state.map(|state| state.scans),
        })
    };
    let indexes: Vec<Value> = OptionalIndex::value_variants().iter().map(index).collect();
    serde_json::to_string_pretty(&json!({ "indexes": indexes }))
}
