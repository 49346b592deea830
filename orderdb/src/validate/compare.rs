//! The differences between two schemas.

use clap::ValueEnum;

use super::{
    catalog::{Catalog, Column, Constraint, Index, Table},
    consequence::{self, Difference},
};
use crate::settings::OptionalIndex;

/// What differs, table by table. Objects have no order, and their names don't matter where they have a definition.
pub fn compare(expected: &Catalog, found: &Catalog) -> Vec<Difference> {
    let mut differences = Vec::new();
    for (name, table) in &expected.tables {
        match found.tables.get(name) {
            Some(found) => compare_table(name, table, found, &mut differences),
            None => differences.push(consequence::missing_table(name)),
        }
    }
    differences
}

fn compare_table(name: &str, expected: &Table, found: &Table, differences: &mut Vec<Difference>) {
    if found.kind != expected.kind {
        differences.push(consequence::other_kind(name, &found.kind));
    }
    if found.has_row_security {
        differences.push(consequence::row_security(name));
    }
    compare_columns(name, expected, found, differences);
    compare_constraints(name, expected, found, differences);
    compare_indexes(name, expected, found, differences);
    for (trigger, wanted) in &expected.triggers {
        if found.triggers.get(trigger) != Some(wanted) {
            differences.push(consequence::trigger(name, trigger, wanted, found.triggers.get(trigger)));
        }
    }
    let others = found.triggers.iter().filter(|(trigger, _)| !expected.triggers.contains_key(*trigger));
    differences.extend(others.map(|(trigger, extra)| consequence::extra_trigger(name, trigger, extra)));
}

fn compare_columns(table: &str, expected: &Table, found: &Table, differences: &mut Vec<Difference>) {
    for (name, wanted) in &expected.columns {
        match found.columns.get(name) {
            None => differences.push(consequence::missing_column(table, name, wanted)),
            Some(column) => compare_column(table, name, wanted, column, differences),
        }
    }
    let others = found.columns.iter().filter(|(name, _)| !expected.columns.contains_key(*name));
    differences.extend(others.map(|(name, extra)| consequence::extra_column(table, name, extra)));
}

fn compare_column(table: &str, name: &str, expected: &Column, found: &Column, differences: &mut Vec<Difference>) {
    if found.sql_type != expected.sql_type {
        differences.push(consequence::other_type(table, name, &expected.sql_type, &found.sql_type));
    }
    if found.not_null != expected.not_null {
        differences.push(consequence::other_nullability(table, name, expected));
    }
    if found.is_generated && !expected.is_generated {
        differences.push(consequence::generated(table, name));
    } else if found.default != expected.default {
        differences.push(consequence::other_default(table, name, expected, found));
    }
    // That of a type without collations follows from the type.
    if let (Some(wanted), Some(collation)) = (&expected.collation, &found.collation)
        && collation != wanted
    {
        differences.push(consequence::other_collation(table, name, wanted, collation));
    }
}

fn compare_constraints(table: &str, expected: &Table, found: &Table, differences: &mut Vec<Difference>) {
    let mut others: Vec<&Constraint> = found.constraints.iter().collect();
    let mut missing = Vec::new();
    for wanted in &expected.constraints {
        let is_it = |other: &&Constraint| other.kind == wanted.kind && other.definition == wanted.definition;
        match others.iter().position(is_it) {
            Some(position) => drop(others.swap_remove(position)),
            None => missing.push(wanted),
        }
    }
    // One of the same name and kind stands for it.
    for wanted in missing {
        let is_changed = |other: &&Constraint| other.kind == wanted.kind && other.name == wanted.name;
        let changed = others.iter().position(is_changed).map(|position| others.swap_remove(position));
        differences.push(consequence::constraint(table, wanted, changed));
    }
    differences.extend(others.into_iter().map(|extra| consequence::extra_constraint(table, extra)));
}

fn compare_indexes(table: &str, expected: &Table, found: &Table, differences: &mut Vec<Difference>) {
    let mut others: Vec<&Index> = found.indexes.iter().collect();
    for wanted in &expected.indexes {
        let is_it = |other: &&Index| {
            other.is_valid && other.is_unique == wanted.is_unique && other.definition == wanted.definition
        };
        match others.iter().position(is_it) {
            Some(position) => drop(others.swap_remove(position)),
            None => {
                let same_name = others.iter().position(|other| other.name == wanted.name);
                let changed = same_name.map(|position| others.swap_remove(position));
                differences.push(consequence::index(table, wanted, changed));
            }
        }
    }
    let is_optional = |index: &Index| {
        table == "orders" && OptionalIndex::value_variants().iter().any(|optional| optional.name() == index.name)
    };
    let others = others.into_iter().filter(|other| !(is_optional(other) && other.is_valid));
    differences.extend(others.map(|extra| consequence::extra_index(table, extra)));
}

#[cfg(test)]
mod tests {
    use super::{super::consequence::Effect, *};

    fn index(name: &str, definition: &str) -> Index {
        Index { name: name.to_owned(), is_unique: false, is_valid: true, definition: definition.to_owned() }
    }

    fn differences(expected: Vec<Index>, found: Vec<Index>) -> Vec<(String, Effect)> {
        let mut differences = Vec::new();
        let table = |indexes| Table { indexes, ..Table::default() };
        compare_indexes("orders", &table(expected), &table(found), &mut differences);
        differences.into_iter().map(|difference| (difference.object, difference.effect)).collect()
    }

    #[test]
    fn an_index_may_have_any_name_and_an_optional_one_may_exist() {
        let wanted = || vec![index("a", "btree (x)")];
        assert_eq!(differences(wanted(), vec![index("other", "btree (x)")]), []);
        let optional = index("orders_by_status", "btree (status, created_at)");
        assert_eq!(differences(vec![], vec![optional.clone()]), []);
        let invalid = Index { is_valid: false, ..optional };
        assert_eq!(differences(vec![], vec![invalid]), [("index orders_by_status".to_owned(), Effect::None)]);
        assert_eq!(differences(wanted(), vec![]), [("index a".to_owned(), Effect::Breaks)]);
        let changed = differences(wanted(), vec![index("a", "btree (y)")]);
        assert_eq!(changed, [("index a".to_owned(), Effect::Breaks)], "one row for both");
    }
}
