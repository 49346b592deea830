//! One column of a row.

use std::hash::Hash;

use chrono::{DateTime, NaiveDate, Utc};
use clap::ValueEnum;
use diesel::{sql_query, sql_types::Text};
use serde_json::Value;
use tokio_postgres::{Row, types::Type};

use super::table::LookupRow;
use crate::{
    catalog::{Product, User},
    database::{Order, SqlError, StatementClient},
    metrics::ROW_QUERIES,
};

/// A column of a table.
pub trait RowField: Copy + Eq + Hash + Send + Sync + 'static {
    /// The row that has the column.
    type Whole: LookupRow;

    /// Name of the column, and of the key in the JSON form of the row.
    fn column(self) -> &'static str;
}

macro_rules! fields {
    ($(#[$doc:meta])* $name:ident of $whole:ident: $($field:ident = $column:literal),+) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
        pub enum $name {
            $(
                #[doc = $column]
                #[value(name = $column, help = None)]
                $field
            ),+
        }

        impl RowField for $name {
            type Whole = $whole;

            fn column(self) -> &'static str {
                match self {
                    $(Self::$field => $column),+
                }
            }
        }
    };
}

fields! {
    /// A column of table `users`.
    UserField of User:
    Id = "user_id", Name = "name", Gender = "gender", Age = "age", AgeGroup = "age_group", Region = "region",
    JoinDate = "join_date"
}
fields! {
    /// A column of table `products`.
    ProductField of Product:
    Id = "product_id", Name = "name", Category = "category", Brand = "brand", Price = "price", OrgPrice = "org_price",
    DiscountRate = "discount_rate", Stock = "stock"
}
fields! {
    /// A column of table `orders`.
    OrderField of Order:
    Id = "order_id", User = "user_id", Product = "product_id", Quantity = "quantity", TotalAmount = "total_amount",
    ShippingCost = "shipping_cost", DiscountAmount = "discount_amount", PaymentMethod = "payment_method",
    Status = "status", Category = "category", UserRegion = "user_region", UserGender = "user_gender",
    UserAgeGroup = "user_age_group", CreatedAt = "created_at",
    StatusSequence = "status_sequence", UpdatedAt = "updated_at"
}

/// The value of a column in the JSON form of the row.
pub(super) fn field_of<Field: RowField>(row: &Field::Whole, field: Field) -> Value {
    let mut row = serde_json::to_value(row).expect("a row has only string keys");
    row[field.column()].take()
}

/// Queries one column of one row; none when there is no such row.
pub(super) async fn select_field<Field: RowField>(
    database: &mut StatementClient,
    id: &str,
    field: Field,
) -> Result<Option<Value>, SqlError> {
    ::metrics::counter!(ROW_QUERIES, "what" => Field::Whole::WHAT).increment(1);
    let (column, (table, key)) = (field.column(), Field::Whole::TABLE);
    let query = sql_query(format!("SELECT {column} FROM {table} WHERE {key} = $1")).bind::<Text, _>(id);
    Ok(database.query(&query).await?.first().map(json))
}

/// The first column in the form of serde.
fn json(row: &Row) -> Value {
    match *row.columns()[0].type_() {
        Type::INT4 => row.get::<_, i32>(0).into(),
        Type::FLOAT8 => row.get::<_, f64>(0).into(),
        Type::DATE => row.get::<_, NaiveDate>(0).to_string().into(),
        Type::TIMESTAMPTZ => serde_json::to_value(row.get::<_, DateTime<Utc>>(0)).unwrap_or_default(),
        _ => row.get::<_, String>(0).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_a_key_of_the_row() {
        let user: User = serde_json::from_value(serde_json::json!({"user_id": "U1", "name": "김", "gender": "F",
            "age": 33, "age_group": "30대", "region": "제주", "join_date": "2026-01-01"}))
        .unwrap();
        for field in UserField::value_variants() {
            assert!(!field_of(&user, *field).is_null(), "{field:?}");
        }
    }
}
