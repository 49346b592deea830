//! The rows of the cache in Redis. They are checked before an order copies from them: any program may write to Redis.

use serde::{Deserialize, de::DeserializeOwned};
use shared::catalog::UNKNOWN_GENDER;

use crate::model::{ProductAttributes, UserAttributes};

/// A row of Redis.
pub trait CachedRow: DeserializeOwned {
    type Attributes;

    /// The attributes of the row with key `id`.
    ///
    /// # Errors
    /// When the row belongs to another id, or has a value that the table does not accept.
    fn attributes(self, id: &str) -> Result<Self::Attributes, InvalidRow>;
}

/// A row of Redis that can't be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRow {
    #[error("it is not JSON of a row: {0}")]
    Unreadable(String),
    #[error("it is the row of {0:?}")]
    OtherId(String),
    #[error("{0} has a value that the table does not accept")]
    Value(&'static str),
}

/// A user. Its further keys are ignored.
#[derive(Deserialize)]
pub struct CachedUser {
    user_id: Option<String>,
    gender: String,
    age_group: String,
    region: String,
}

/// A product. Its further keys are ignored.
#[derive(Deserialize)]
pub struct CachedProduct {
    product_id: Option<String>,
    category: String,
}

impl CachedRow for CachedUser {
    type Attributes = UserAttributes;

    fn attributes(self, id: &str) -> Result<UserAttributes, InvalidRow> {
        let Self { user_id, gender, age_group, region } = self;
        check_id(user_id, id)?;
        if !["M", "F", UNKNOWN_GENDER].contains(&gender.as_str()) {
            return Err(InvalidRow::Value("gender"));
        }
        check_text("age_group", &age_group, 10)?;
        check_text("region", &region, 50)?;
        Ok(UserAttributes { gender, age_group, region })
    }
}

impl CachedRow for CachedProduct {
    type Attributes = ProductAttributes;

    fn attributes(self, id: &str) -> Result<ProductAttributes, InvalidRow> {
        check_id(self.product_id, id)?;
        check_text("category", &self.category, 50)?;
        Ok(ProductAttributes { category: self.category })
    }
}

/// A row without an id is that of its key.
fn check_id(own: Option<String>, key: &str) -> Result<(), InvalidRow> {
    own.filter(|own| own != key).map_or(Ok(()), |other| Err(InvalidRow::OtherId(other)))
}

fn check_text(column: &'static str, text: &str, max_characters: usize) -> Result<(), InvalidRow> {
    let accepted = !text.contains('\0') && text.chars().count() <= max_characters;
    if accepted { Ok(()) } else { Err(InvalidRow::Value(column)) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn user(changed: &str, value: impl Into<Value>) -> Result<String, InvalidRow> {
        let mut row = json!({"user_id": "U1", "name": "김", "gender": "F", "age_group": "30대", "region": "제주"});
        row[changed] = value.into();
        let row: CachedUser = serde_json::from_value(row).unwrap();
        row.attributes("U1").map(|user| user.region)
    }

    #[test]
    fn a_user_is_valid_only_with_the_id_of_its_key_and_values_that_the_table_accepts() {
        assert_eq!(user("age", 33), Ok("제주".to_owned()));
        assert_eq!(user("user_id", Value::Null), Ok("제주".to_owned()));
        assert_eq!(user("region", "가".repeat(50)), Ok("가".repeat(50)));
        assert_eq!(user("user_id", "U2"), Err(InvalidRow::OtherId("U2".to_owned())));
        for (column, value) in [
            ("gender", "FF".to_owned()),
            ("age_group", "1".repeat(11)),
            ("region", "가".repeat(51)),
            ("region", "\0".to_owned()),
        ] {
            assert_eq!(user(column, value), Err(InvalidRow::Value(column)));
        }
    }

    #[test]
    fn a_product_is_valid_only_with_the_id_of_its_key_and_a_category_that_the_table_accepts() {
        let product = |row: Value| serde_json::from_value::<CachedProduct>(row).unwrap().attributes("P1");
        assert!(product(json!({"category": "식품"})).is_ok());
        assert_eq!(
            product(json!({"product_id": "P2", "category": "식품"})).err(),
            Some(InvalidRow::OtherId("P2".to_owned()))
        );
        assert_eq!(product(json!({"category": "가".repeat(51)})).err(), Some(InvalidRow::Value("category")));
    }
}
