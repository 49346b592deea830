//! A line of a catalog file: a user or a product as a JSON object.

use anyhow::{anyhow, bail, ensure};
use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};

use super::{
    limits::{check_product, check_user},
    model::{Product, User},
};

/// A user or a product. The JSON form is that of the user or the product itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum CatalogRow {
    /// The object has a `user_id`.
    User(User),
    /// The object has a `product_id`.
    Product(Product),
}

/// The keys by which the two kinds of rows differ.
#[derive(Deserialize)]
struct IdFields {
    user_id: Option<IgnoredAny>,
    product_id: Option<IgnoredAny>,
}

impl CatalogRow {
    /// Parses one line and checks that the tables accept its values. Further keys are ignored.
    ///
    /// # Errors
    /// When the line is not JSON, is neither a user nor a product, lacks a key, or has a value that the table refuses.
    pub fn from_json(line: &[u8]) -> anyhow::Result<Self> {
        // Other JSON values would be reported with the names of Rust types.
        ensure!(line.trim_ascii_start().starts_with(b"{"), "it is not a JSON object");
        let ids: IdFields = parse(line)?;
        match (ids.user_id, ids.product_id) {
            (Some(_), None) => {
                let user = parse(line)?;
                check_user(&user)?;
                Ok(Self::User(user))
            }
            (None, Some(_)) => {
                let product = parse(line)?;
                check_product(&product)?;
                Ok(Self::Product(product))
            }
            (Some(_), Some(_)) => bail!("it has both user_id and product_id"),
            (None, None) => bail!("it has neither user_id nor product_id"),
        }
    }
}

fn parse<T: DeserializeOwned>(line: &[u8]) -> anyhow::Result<T> {
    serde_json::from_slice(line).map_err(|error| {
        // The parser counts lines from the start of its input, which is one line of a file.
        let message = error.to_string();
        let position = format!(" at line {} column {}", error.line(), error.column());
        anyhow!("{} (column {})", message.strip_suffix(&position).unwrap_or(&message), error.column())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::catalog::{
        synthetic::{SyntheticProducts, SyntheticUsers},
        users::Locale,
    };

    fn user() -> Value {
        json!({
            "user_id": "U1", "name": "김영희", "gender": "F", "age": 33, "age_group": "30대", "region": "서울",
            "join_date": "2024-02-29"
        })
    }

    fn product() -> Value {
        json!({
            "product_id": "P1", "name": "현미", "category": "식품", "brand": "온새뜰찬", "price": 900, "org_price": 1000,
            "discount_rate": 0.1, "stock": 5
        })
    }

    fn with(mut row: Value, key: &str, value: impl Into<Value>) -> Vec<u8> {
        row[key] = value.into();
        row.to_string().into_bytes()
    }

    fn error(line: impl AsRef<[u8]>) -> String {
        format!("{:#}", CatalogRow::from_json(line.as_ref()).unwrap_err())
    }

    #[test]
    fn a_row_is_read_as_it_was_written() {
        let users = SyntheticUsers::new(7, Locale::KoKr).take(100).map(CatalogRow::User);
        let products = SyntheticProducts::new(7).take(100).map(CatalogRow::Product);
        for row in users.chain(products) {
            assert_eq!(CatalogRow::from_json(&serde_json::to_vec(&row).unwrap()).unwrap(), row);
        }
    }

    #[test]
    fn spaces_and_further_keys_are_ignored() {
        let line = [b"  ".as_slice(), &with(user(), "created_at", "2026-01-01"), b" \r"].concat();
        assert!(matches!(CatalogRow::from_json(&line).unwrap(), CatalogRow::User(_)));
    }

    #[test]
    fn a_broken_line_is_refused_with_what_is_wrong() {
        for (line, expected) in [
            (&b"U1,\xea\xb9\x80"[..], "it is not a JSON object"),
            (b"[\"U1\"]", "it is not a JSON object"),
            (b"{}", "neither user_id nor product_id"),
            (br#"{"user_id": "U1", "product_id": "P1"}"#, "both user_id and product_id"),
            (br#"{"user_id": "U1"}"#, "missing field `name` (column 17)"),
            (br#"{"user_id": "U1", "#, "EOF while parsing"),
            (b"{\"user_id\": \"\xff\"}", "invalid unicode code point"),
        ] {
            let error = error(line);
            assert!(error.contains(expected) && !error.contains("line 1"), "{error}");
        }
        assert!(error(with(user(), "age", "33")).contains("expected i32"));
        assert!(error(with(user(), "join_date", "2024-02-30")).contains("input is out of range"));
        assert!(error(with(product(), "price", 3_000_000_000_u32)).contains("3000000000"));
    }

    #[test]
    fn a_user_that_the_table_would_refuse_is_refused_by_column() {
        for (key, value, expected) in [
            ("user_id", json!(""), "user_id is empty"),
            ("user_id", json!("U".repeat(51)), "user_id has 51 characters: the table accepts at most 50"),
            ("name", json!("a\0b"), "name contains a NUL character"),
            ("name", json!("김".repeat(101)), "name has 101 characters"),
            ("gender", json!("X"), "gender is \"X\": the table accepts M, F and U"),
            ("age", json!(-1), "age is -1: the table accepts 0 to 150"),
            ("age", json!(151), "age is 151"),
            ("age_group", json!("12345678901"), "age_group has 11 characters"),
            ("region", json!("r".repeat(51)), "region has 51 characters"),
            ("join_date", json!("-4713-12-31"), "the year of join_date is -4713"),
        ] {
            let error = error(with(user(), key, value));
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn a_product_that_the_table_would_refuse_is_refused_by_column() {
        for (key, value, expected) in [
            ("product_id", json!(""), "product_id is empty"),
            ("product_id", json!("P".repeat(51)), "product_id has 51 characters"),
            ("name", json!("n".repeat(201)), "name has 201 characters"),
            ("category", json!("c".repeat(51)), "category has 51 characters"),
            ("brand", json!("b".repeat(101)), "brand has 101 characters"),
            ("brand", json!("\0"), "brand contains a NUL character"),
            ("price", json!(-1), "price is -1: the table accepts 0 to"),
            ("org_price", json!(899), "org_price is 899: the table accepts no value below price, 900"),
            ("discount_rate", json!(1.01), "discount_rate is 1.01: the table accepts 0 to 1"),
            ("discount_rate", json!(-0.1), "discount_rate is -0.1"),
            ("stock", json!(-1), "stock is -1"),
        ] {
            let error = error(with(product(), key, value));
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn values_at_the_limits_are_accepted() {
        for (key, value) in [
            ("user_id", json!("김".repeat(50))),
            ("name", json!("김".repeat(100))),
            ("gender", json!("U")),
            ("age", json!(0)),
            ("age", json!(150)),
            ("join_date", json!("-4712-01-01")),
        ] {
            assert!(CatalogRow::from_json(&with(user(), key, value)).is_ok(), "{key}");
        }
        for (key, value) in [
            ("name", json!("")),
            ("price", json!(0)),
            ("org_price", json!(i32::MAX)),
            ("discount_rate", json!(1)),
            ("stock", json!(0)),
        ] {
            assert!(CatalogRow::from_json(&with(product(), key, value)).is_ok(), "{key}");
        }
    }
}
