//! What a reader keeps of a row in Redis. It is checked before it is used: any program may write to Redis.

use serde::de::DeserializeOwned;

use super::table::LookupRow;
use crate::{
    catalog::{Product, User, check_product, check_user},
    database::Order,
};

/// A row, or the part of it that a reader keeps.
pub trait CachedRow: Sized {
    /// The whole row.
    type Whole: LookupRow;

    /// Parses the JSON of the row with key `id`.
    ///
    /// # Errors
    /// When the JSON is not that of a row, belongs to another id, or has a value that the table does not accept.
    fn from_json(json: &[u8], id: &str) -> Result<Self, InvalidRow>;
}

/// A row of Redis that can't be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRow {
    /// Not JSON, or not that of a row.
    #[error("it is not JSON of a row: {0}")]
    Unreadable(String),
    /// The row of this id.
    #[error("it is the row of {0:?}")]
    OtherId(String),
    /// The table does not accept the value of this column.
    #[error("{0} has a value that the table does not accept")]
    Value(&'static str),
    /// As [`Self::Value`], with the message of the check.
    #[error("{0}")]
    Refused(String),
}

impl From<serde_json::Error> for InvalidRow {
    fn from(error: serde_json::Error) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// Checks that a row belongs to its key. A row without an id is that of its key.
///
/// # Errors
/// [`InvalidRow::OtherId`].
pub fn check_id(own: Option<&str>, key: &str) -> Result<(), InvalidRow> {
    own.filter(|own| *own != key).map_or(Ok(()), |other| Err(InvalidRow::OtherId(other.to_owned())))
}

/// Checks that the table accepts the text of a column.
///
/// # Errors
/// [`InvalidRow::Value`].
pub fn check_text(column: &'static str, text: &str, max_characters: usize) -> Result<(), InvalidRow> {
    let accepted = !text.contains('\0') && text.chars().count() <= max_characters;
    if accepted { Ok(()) } else { Err(InvalidRow::Value(column)) }
}

fn parse<Row: LookupRow + DeserializeOwned>(
    json: &[u8],
    id: &str,
    check: impl FnOnce(&Row) -> anyhow::Result<()>,
) -> Result<Row, InvalidRow> {
    let row: Row = serde_json::from_slice(json)?;
    check_id(Some(row.id()), id)?;
    check(&row).map_err(|error| InvalidRow::Refused(error.to_string()))?;
    Ok(row)
}

impl CachedRow for User {
    type Whole = Self;

    fn from_json(json: &[u8], id: &str) -> Result<Self, InvalidRow> {
        parse(json, id, check_user)
    }
}

impl CachedRow for Product {
    type Whole = Self;

    fn from_json(json: &[u8], id: &str) -> Result<Self, InvalidRow> {
        parse(json, id, check_product)
    }
}

impl CachedRow for Order {
    type Whole = Self;

    fn from_json(json: &[u8], id: &str) -> Result<Self, InvalidRow> {
        // Nothing copies from it into a table.
        parse(json, id, |_| Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_is_valid_only_with_the_id_of_its_key_and_values_that_the_table_accepts() {
        let user = |region: &str| {
            let row = json!({"user_id": "U1", "name": "김", "gender": "F", "age": 33, "age_group": "30대",
                "region": region, "join_date": "2026-01-01"});
            row.to_string().into_bytes()
        };
        assert_eq!(User::from_json(&user("제주"), "U1").unwrap().region, "제주");
        assert_eq!(User::from_json(&user("제주"), "U2"), Err(InvalidRow::OtherId("U1".to_owned())));
        let refused = User::from_json(&user(&"가".repeat(51)), "U1").unwrap_err();
        assert!(refused.to_string().contains("region has 51 characters"), "{refused}");
        assert!(matches!(User::from_json(b"{}", "U1"), Err(InvalidRow::Unreadable(_))));
    }
}
