//! What a difference breaks.

use serde::Serialize;

use super::catalog::{Column, Constraint, ConstraintKind, Index, Trigger};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// A program fails, or does not what it should.
    Breaks,
    /// The programs do not notice.
    None,
}

/// One row of the result.
#[derive(Debug, Serialize)]
pub struct Difference {
    /// Such as `orders.status` or `index users_never_cached`.
    pub object: String,
    pub expected: Option<String>,
    pub found: Option<String>,
    pub effect: Effect,
    /// What it breaks, or what it is for people to know.
    pub consequence: String,
}

fn breaks(object: String, expected: Option<String>, found: Option<String>, consequence: String) -> Difference {
    Difference { object, expected, found, effect: Effect::Breaks, consequence }
}

fn told(object: String, expected: Option<String>, found: Option<String>, consequence: String) -> Difference {
    Difference { object, expected, found, effect: Effect::None, consequence }
}

/// The program that inserts the rows of a table.
fn writer(table: &str) -> &'static str {
    match table {
        "orders" | "order_events" => "the consumer",
        "cache_rounds" => "the cache-worker",
        _ => "orderdb seed",
    }
}

/// The programs that use a column.
fn users_of(table: &str, column: &str) -> &'static str {
    match (table, column) {
        ("orders" | "order_events", _) => "the consumer and orderdb audit",
        ("cache_rounds", _) | (_, "last_cached_at") => "the cache-worker",
        (_, "attributes_updated_at") => "orderdb audit",
        _ => "cache-worker, consumer and orderdb seed",
    }
}

/// Whether each insert of a program has a value for the column.
fn is_always_given(table: &str, column: &str) -> bool {
    match table {
        "orders" => !matches!(column, "status_sequence" | "updated_at"),
        "order_events" => true,
        "cache_rounds" => false,
        _ => !matches!(column, "created_at" | "last_cached_at" | "attributes_updated_at"),
    }
}

fn column_of(table: &str, name: &str) -> String {
    format!("{table}.{name}")
}

/// The usual short name of a type.
fn type_name(sql_type: &str) -> String {
    sql_type.replace("character varying", "varchar").replace("timestamp with time zone", "timestamptz")
}

fn described(column: &Column) -> String {
    let null = if column.not_null { " NOT NULL" } else { "" };
    let default = column.default.as_ref().map_or_else(String::new, |default| format!(" DEFAULT {default}"));
    format!("{}{null}{default}", type_name(&column.sql_type))
}

pub fn missing_table(table: &str) -> Difference {
    let fails = match table {
        "cache_rounds" => "the cache-worker does not start",
        _ => "no program starts",
    };
    breaks(format!("table {table}"), Some("a table".to_owned()), None, fails.to_owned())
}

pub fn missing_round() -> Difference {
    let fails = "the cache-worker fails: the migrations insert it";
    breaks("row of cache_rounds".to_owned(), Some("one row".to_owned()), None, fails.to_owned())
}

/// `kind` is that of `pg_class`.
pub fn other_kind(table: &str, kind: &str) -> Difference {
    let (object, expected) = (format!("table {table}"), Some("a table".to_owned()));
    match kind {
        "p" => told(object, expected, Some("partitioned".to_owned()), "partitions are not tested".to_owned()),
        _ => {
            let found = match kind {
                "v" => "a view",
                "m" => "a materialized view",
                "f" => "a foreign table",
                _ => "another relation",
            };
            let fails = format!("inserts and locks of {} may fail", writer(table));
            breaks(object, expected, Some(found.to_owned()), fails)
        }
    }
}

pub fn row_security(table: &str) -> Difference {
    let hides = "its policies may hide or refuse rows of roles other than the owner";
    told(format!("table {table}"), None, Some("row security is on".to_owned()), hides.to_owned())
}

pub fn missing_column(table: &str, name: &str, column: &Column) -> Difference {
    let fails = format!("statements of {} fail", users_of(table, name));
    breaks(column_of(table, name), Some(described(column)), None, fails)
}

pub fn extra_column(table: &str, name: &str, column: &Column) -> Difference {
    let (object, found) = (column_of(table, name), Some(described(column)));
    match column.not_null && column.default.is_none() && !column.is_generated {
        true => breaks(object, None, found, format!("inserts of {} fail: it has no default", writer(table))),
        false => told(object, None, found, "an additional column".to_owned()),
    }
}

pub fn other_type(table: &str, name: &str, expected: &str, found: &str) -> Difference {
    let object = column_of(table, name);
    let (wanted, actual) = (Some(type_name(expected)), Some(type_name(found)));
    match (text_limit(expected), text_limit(found)) {
        (Some(limit), Some(wider)) if wider > limit => {
            told(object, wanted, actual, "longer values fit as well".to_owned())
        }
        (Some(_), Some(narrower)) => {
            let refused = match table {
                "order_events" => format!("a change with a value longer than {narrower} is dead-lettered"),
                "orders" => format!("an order with a value longer than {narrower} is dead-lettered"),
                _ => format!("inserts of values longer than {narrower} fail"),
            };
            breaks(object, wanted, actual, refused)
        }
        _ => {
            let fails = format!("{} read or write another type, and fail", users_of(table, name));
            breaks(object, wanted, actual, fails)
        }
    }
}

/// The maximum number of characters of `text` and `varchar`, which the programs treat alike.
fn text_limit(sql_type: &str) -> Option<u32> {
    match sql_type {
        "text" | "character varying" => Some(u32::MAX),
        limited => limited.strip_prefix("character varying(")?.strip_suffix(')')?.parse().ok(),
    }
}

pub fn other_nullability(table: &str, name: &str, expected: &Column) -> Difference {
    let texts = ["NOT NULL".to_owned(), "nullable".to_owned()];
    let ([not_null, nullable], object) = (texts, column_of(table, name));
    match expected.not_null {
        true => {
            let fails = format!("a NULL there ends {}, which expect a value", users_of(table, name));
            breaks(object, Some(not_null), Some(nullable), fails)
        }
        false => {
            let fails = format!("rows without a value are refused: {} writes such", writer(table));
            breaks(object, Some(nullable), Some(not_null), fails)
        }
    }
}

pub fn generated(table: &str, name: &str) -> Difference {
    let fails = format!("writes of {} to it fail", users_of(table, name));
    breaks(column_of(table, name), None, Some("made by the server".to_owned()), fails)
}

pub fn other_default(table: &str, name: &str, expected: &Column, found: &Column) -> Difference {
    let object = column_of(table, name);
    let text = |column: &Column| {
        Some(column.default.as_ref().map_or_else(|| "no default".to_owned(), |default| format!("DEFAULT {default}")))
    };
    let (wanted, actual) = (text(expected), text(found));
    match found.default {
        _ if is_always_given(table, name) => {
            told(object, wanted, actual, format!("{} always writes a value", writer(table)))
        }
        None if found.not_null => breaks(object, wanted, actual, format!("inserts of {} fail", writer(table))),
        _ => told(object, wanted, actual, "new rows get another value".to_owned()),
    }
}

pub fn other_collation(table: &str, name: &str, expected: &str, found: &str) -> Difference {
    let (object, texts) = (column_of(table, name), [expected, found].map(|text| Some(format!("COLLATE \"{text}\""))));
    let [wanted, actual] = texts;
    match expected {
        "C" => {
            let wrong = "ids are sorted in another order than in the programs: audits and rounds are slow or wrong";
            breaks(object, wanted, actual, wrong.to_owned())
        }
        _ => told(object, wanted, actual, "no program sorts by it".to_owned()),
    }
}

pub fn constraint(table: &str, expected: &Constraint, found: Option<&Constraint>) -> Difference {
    let object = format!("{} of {table}", expected.name);
    let wanted = Some(expected.definition.clone());
    let actual = found.map(|found| found.definition.clone());
    if actual.as_deref() == Some(&format!("{} NOT VALID", expected.definition)) {
        return told(object, wanted, actual, "rows that are older than it were not checked".to_owned());
    }
    let wrong = match (expected.kind, table) {
        (ConstraintKind::PrimaryKey, "orders") => "the consumer stores nothing: ON CONFLICT needs it".to_owned(),
        (ConstraintKind::PrimaryKey | ConstraintKind::Unique, _) => "a row may be there twice".to_owned(),
        (ConstraintKind::ForeignKey, "order_events") => {
            "changes of unknown orders are stored, and the histories of deleted ones stay".to_owned()
        }
        (ConstraintKind::ForeignKey, _) => "orders of unknown ids are stored, not dead-lettered".to_owned(),
        _ => format!("wrong rows of {} are stored, not refused", writer(table)),
    };
    breaks(object, wanted, actual, wrong)
}

pub fn extra_constraint(table: &str, constraint: &Constraint) -> Difference {
    let may = format!("it may refuse rows of {}", writer(table));
    told(format!("{} of {table}", constraint.name), None, Some(constraint.definition.clone()), may)
}

pub fn index(table: &str, expected: &Index, found: Option<&Index>) -> Difference {
    let slow = format!("statements of {} read the whole table", users_of(table, "last_cached_at"));
    breaks(format!("index {}", expected.name), Some(index_text(expected)), found.map(index_text), slow)
}

pub fn extra_index(table: &str, index: &Index) -> Difference {
    let costs = match (index.is_valid, index.is_unique) {
        (false, _) => "INVALID: no query uses it, and each insert costs more. Drop it".to_owned(),
        (true, true) => format!("it may refuse rows of {}", writer(table)),
        (true, false) => format!("each insert into {table} costs more"),
    };
    told(format!("index {}", index.name), None, Some(index_text(index)), costs)
}

fn index_text(index: &Index) -> String {
    let unique = if index.is_unique { "UNIQUE " } else { "" };
    let invalid = if index.is_valid { "" } else { ", INVALID" };
    format!("{unique}{}{invalid}", index.definition)
}

pub fn trigger(table: &str, name: &str, expected: &Trigger, found: Option<&Trigger>) -> Difference {
    let wanted = event(&expected.definition);
    let (wanted, found) = match found {
        None => (wanted, None),
        Some(Trigger { is_enabled: false, .. }) => ("enabled".to_owned(), Some("disabled".to_owned())),
        Some(found) if event(&found.definition) != wanted => (wanted, Some(event(&found.definition))),
        Some(found) if found.definition != expected.definition => (wanted, Some("another condition".to_owned())),
        Some(_) => (wanted, Some("another function body".to_owned())),
    };
    let wrong = "orderdb audit counts orders as altered whose user or product was updated";
    breaks(format!("trigger {name} of {table}"), Some(wanted), found, wrong.to_owned())
}

/// When a trigger runs: `BEFORE UPDATE OF a, b` of `CREATE TRIGGER name BEFORE UPDATE OF a, b ON table …`.
fn event(definition: &str) -> String {
    let (before, _) = definition.split_once(" ON ").unwrap_or((definition, ""));
    before.split_whitespace().skip_while(|word| !["BEFORE", "AFTER"].contains(word)).collect::<Vec<_>>().join(" ")
}

pub fn extra_trigger(table: &str, name: &str, trigger: &Trigger) -> Difference {
    let may = format!("it may change or refuse rows of {}", writer(table));
    told(format!("trigger {name} of {table}"), None, Some(trigger.definition.clone()), may)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(not_null: bool, default: Option<&str>) -> Column {
        let default = default.map(str::to_owned);
        Column { sql_type: "integer".to_owned(), not_null, default, is_generated: false, collation: None }
    }

    #[test]
    fn a_narrower_type_breaks_and_a_wider_one_does_not() {
        let effect = |expected: &str, found: &str| other_type("orders", "status", expected, found).effect;
        let varchar = "character varying(20)";
        for wider in ["character varying(21)", "character varying", "text"] {
            assert_eq!(effect(varchar, wider), Effect::None, "{wider}");
        }
        for other in ["character varying(19)", "character(20)", "integer", "status_enum"] {
            assert_eq!(effect(varchar, other), Effect::Breaks, "{other}");
        }
        assert_eq!(effect("integer", "bigint"), Effect::Breaks, "it is read as another type");
        let narrow = other_type("orders", "status", varchar, "character varying(5)");
        assert_eq!(narrow.consequence, "an order with a value longer than 5 is dead-lettered");
    }

    #[test]
    fn an_extra_column_breaks_inserts_only_without_a_value() {
        let effect = |column: &Column| extra_column("orders", "coupon", column).effect;
        assert_eq!(effect(&column(true, None)), Effect::Breaks);
        assert_eq!(effect(&Column { is_generated: true, ..column(true, None) }), Effect::None);
        assert_eq!((effect(&column(true, Some("0"))), effect(&column(false, None))), (Effect::None, Effect::None));
    }

    #[test]
    fn a_missing_default_breaks_where_no_program_writes_a_value() {
        let effect = |table: &str, name: &str, found: &Column| {
            other_default(table, name, &column(true, Some("0")), found).effect
        };
        assert_eq!(effect("users", "created_at", &column(true, None)), Effect::Breaks);
        assert_eq!(effect("users", "age", &column(true, None)), Effect::None, "a seed writes it");
        assert_eq!(effect("orders", "shipping_cost", &column(true, None)), Effect::None, "the consumer writes it");
        assert_eq!(effect("users", "created_at", &column(true, Some("1"))), Effect::None);
    }
}
