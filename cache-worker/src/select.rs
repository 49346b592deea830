//! Which rows go into the cache next: half for rows never cached (oldest first), the rest for those cached longest ago;
//! each half takes what the other leaves free.

use diesel::{ExpressionMethods, QueryDsl, QueryResult, SelectableHelper};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use shared::{
    catalog::{Product, User},
    database::{
        ProductRow, UserRow,
        schema::{products, users},
    },
};

/// Rows of one table, chosen and locked.
#[derive(Debug)]
pub struct Selection<Row> {
    /// In the order of their ids.
    pub rows: Vec<Row>,
    /// How many of them were never cached before.
    pub new: usize,
}

/// How many rows never cached and how many aged ones fill a cache of `size`, of those that there are.
pub fn quota(never_cached: usize, aged: usize, size: usize) -> (usize, usize) {
    let reserved_for_new = size / 2;
    let new = never_cached.min(reserved_for_new.max(size.saturating_sub(aged)));
    (new, aged.min(size - new))
}

macro_rules! selection {
    ($(#[$doc:meta])* $function:ident, $table:ident, $id:ident, $row:ty, $record:ty) => {
        $(#[$doc])*
        ///
        /// The rows are locked `FOR NO KEY UPDATE`, which lets orders that refer to them be inserted meanwhile, and in
        /// the order of their ids, so that two rounds never deadlock.
        ///
        /// # Errors
        /// When the database fails.
        pub async fn $function(connection: &mut AsyncPgConnection, size: usize) -> QueryResult<Selection<$row>> {
            let limit = size as i64;
            let mut ids: Vec<String> = $table::table
                .filter($table::last_cached_at.is_null())
                .order(($table::created_at, $table::$id))
                .limit(limit)
                .select($table::$id)
                .load(connection)
                .await?;
            let aged: Vec<String> = $table::table
                .filter($table::last_cached_at.is_not_null())
                .order(($table::last_cached_at, $table::$id))
                .limit(limit)
                .select($table::$id)
                .load(connection)
                .await?;
            let (new, old) = quota(ids.len(), aged.len(), size);
            ids.truncate(new);
            ids.extend(aged.into_iter().take(old));
            let records: Vec<$record> = $table::table
                .filter($table::$id.eq_any(&ids))
                .order($table::$id)
                .for_no_key_update()
                .select(<$record>::as_select())
                .load(connection)
                .await?;
            Ok(Selection { rows: records.into_iter().map(<$row>::from).collect(), new })
        }
    };
}

selection! {
    /// The users that are due.
    due_users, users, user_id, User, UserRow
}
selection! {
    /// The products that are due.
    due_products, products, product_id, Product, ProductRow
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_half_takes_what_the_other_leaves_free() {
        assert_eq!(quota(2_000, 2_000, 1_000), (500, 500));
        assert_eq!(quota(30, 2_000, 1_000), (30, 970));
        assert_eq!(quota(2_000, 30, 1_000), (970, 30));
        assert_eq!(quota(0, 0, 1_000), (0, 0));
        assert_eq!(quota(300, 300, 1_000), (300, 300));
    }

    proptest! {
        #[test]
        fn the_cache_is_filled_with_what_exists_and_the_aged_always_have_their_half(new in 0..3_000usize, aged in 0..3_000usize, size in 2..2_000usize) {
            let (from_new, from_aged) = quota(new, aged, size);
            prop_assert!(from_new <= new && from_aged <= aged);
            prop_assert_eq!(from_new + from_aged, size.min(new + aged));
            prop_assert!(from_aged >= aged.min(size / 2) && from_new >= new.min(size / 2));
        }
    }
}
