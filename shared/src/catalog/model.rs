//! A user and a product. The values of the Redis hashes are their JSON form.

use std::{fmt, sync::Arc};

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The value of a region, age group or category that is unknown. It is never null and never a reason to refuse an
/// order.
pub const UNKNOWN: &str = "미상";
/// The value of a gender that is unknown.
pub const UNKNOWN_GENDER: &str = "U";

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(#[schemars(length(min = 1, max = 50))] Arc<str>);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(id: &str) -> Self {
                Self(id.into())
            }
        }

        impl From<String> for $name {
            fn from(id: String) -> Self {
                Self(id.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id! {
    /// Id of a user: 1 to 50 characters.
    UserId
}
id! {
    /// Id of a product: 1 to 50 characters.
    ProductId
}

/// A user, as in the cache.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// Primary key.
    pub user_id: UserId,
    /// Full name, at most 100 characters.
    pub name: String,
    /// `M`, `F` or [`UNKNOWN_GENDER`].
    pub gender: String,
    /// In years, 0 to 150.
    pub age: i32,
    /// `10대`, `20대`, … or [`UNKNOWN`].
    pub age_group: String,
    /// Province or metropolitan city, or [`UNKNOWN`].
    pub region: String,
    /// The day on which the user signed up.
    pub join_date: NaiveDate,
}

/// A product, as in the cache. Prices are whole won.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Product {
    /// Primary key.
    pub product_id: ProductId,
    /// Name, at most 200 characters.
    pub name: String,
    /// Category, at most 50 characters.
    pub category: String,
    /// Brand, at most 100 characters.
    pub brand: String,
    /// Price of one piece, at least 0.
    pub price: i32,
    /// Price of one piece without the discount, at least `price`.
    pub org_price: i32,
    /// Discount as a fraction of `org_price`, 0 to 1.
    pub discount_rate: f64,
    /// Pieces in stock, at least 0.
    pub stock: i32,
}

/// The decade of `age`, in years: `0대` (below 10), `10대`, `20대` and so on.
pub fn age_group(age: i32) -> String {
    format!("{}대", age / 10 * 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_group_is_the_decade() {
        assert_eq!([9, 10, 19, 20, 64, 100].map(age_group), ["0대", "10대", "10대", "20대", "60대", "100대"]);
    }
}
