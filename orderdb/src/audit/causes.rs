//! The causes of dead letters in words.

use std::collections::BTreeMap;

/// Such as `3 unknown_user, 1 malformed`.
pub fn list_causes(causes: &BTreeMap<String, u64>) -> String {
    causes.iter().map(|(kind, number)| format!("{number} {kind}")).collect::<Vec<_>>().join(", ")
}
