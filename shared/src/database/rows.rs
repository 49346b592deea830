use chrono::NaiveDate;
use diesel::{Insertable, Queryable, Selectable};

use super::schema::{products, users};
use crate::catalog::{Product, User};

macro_rules! row {
    ($(#[$doc:meta])* $name:ident of $table:ident as $model:ident by $id:ident { $($column:ident: $kind:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Queryable, Selectable, Insertable)]
        #[diesel(table_name = $table)]
        pub struct $name {
            $id: String,
            $($column: $kind),*
        }

        impl From<$name> for $model {
            fn from(row: $name) -> Self {
                Self { $id: row.$id.into(), $($column: row.$column),* }
            }
        }

        impl From<&tokio_postgres::Row> for $model {
            /// Of a query that selects the columns of the row.
            fn from(row: &tokio_postgres::Row) -> Self {
                Self { $id: row.get::<_, &str>(stringify!($id)).into(), $($column: row.get(stringify!($column))),* }
            }
        }

        impl From<$model> for $name {
            fn from(model: $model) -> Self {
                Self { $id: model.$id.to_string(), $($column: model.$column),* }
            }
        }
    };
}

row! {
    /// A user as the table has one; what the table itself keeps (when it was made, when cached) is not in it.
    UserRow of users as User by user_id {
        name: String,
        gender: String,
        age: i32,
        age_group: String,
        region: String,
        join_date: NaiveDate,
    }
}

row! {
    /// A product as the table has one; what the table itself keeps is not in it.
    ProductRow of products as Product by product_id {
        name: String,
        category: String,
        brand: String,
        price: i32,
        org_price: i32,
        discount_rate: f64,
        stock: i32,
    }
}
