//! The attributes of a row in Redis. They are checked before an order copies them: any program may write to Redis.

use serde::Deserialize;
use shared::{
    catalog::{Product, UNKNOWN_GENDER, User},
    lookup::{CachedRow, InvalidRow, check_id, check_text},
};

use crate::model::{ProductAttributes, UserAttributes};

/// A user. Its further keys are ignored.
#[derive(Deserialize)]
struct CachedUser {
    user_id: Option<String>,
    gender: String,
    age_group: String,
    region: String,
}

/// A product. Its further keys are ignored.
#[derive(Deserialize)]
struct CachedProduct {
    product_id: Option<String>,
    category: String,
}

impl CachedRow for UserAttributes {
    type Whole = User;

    fn from_json(json: &[u8], id: &str) -> Result<Self, InvalidRow> {
        let CachedUser { user_id, gender, age_group, region } = serde_json::from_slice(json)?;
        check_id(user_id.as_deref(), id)?;
        if !["M", "F", UNKNOWN_GENDER].contains(&gender.as_str()) {
            return Err(InvalidRow::Value("gender"));
        }
        check_text("age_group", &age_group, 10)?;
        check_text("region", &region, 50)?;
        Ok(Self { gender, age_group, region })
    }
}

impl CachedRow for ProductAttributes {
    type Whole = Product;

    fn from_json(json: &[u8], id: &str) -> Result<Self, InvalidRow> {
        let CachedProduct { product_id, category } = serde_json::from_slice(json)?;
        check_id(product_id.as_deref(), id)?;
        check_text("category", &category, 50)?;
        Ok(Self { category })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn user(changed: &str, value: impl Into<Value>) -> Result<String, InvalidRow> {
        let mut row = json!({"user_id": "U1", "name": "김", "gender": "F", "age_group": "30대", "region": "제주"});
        row[changed] = value.into();
        UserAttributes::from_json(row.to_string().as_bytes(), "U1").map(|user| user.region)
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
        let product = |row: Value| ProductAttributes::from_json(row.to_string().as_bytes(), "P1");
        assert!(product(json!({"category": "식품"})).is_ok());
        assert_eq!(
            product(json!({"product_id": "P2", "category": "식품"})).err(),
            Some(InvalidRow::OtherId("P2".to_owned()))
        );
        assert_eq!(product(json!({"category": "가".repeat(51)})).err(), Some(InvalidRow::Value("category")));
    }
}
