//! Which rows go into the cache next: half for rows never cached (oldest first), the rest for those cached longest ago;
//! each half takes what the other leaves free.

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

/// Rounds until every one of the rows that are there now has been in a cache of `size`, when no others come.
pub fn full_turn(mut never_cached: usize, mut aged: usize, size: usize) -> usize {
    let mut rounds = 0;
    while never_cached + aged > 0 {
        let (new, old) = quota(never_cached, aged, size);
        (never_cached, aged) = (never_cached - new, aged - old);
        rounds += 1;
    }
    rounds
}

macro_rules! table {
    ($(#[$doc:meta])* $table:ident, $id:ident, $row:ty, $columns:ty) => {
        $(#[$doc])*
        pub mod $table {
            use std::collections::HashSet;

            use chrono::{DateTime, Utc};
            use diesel::{ExpressionMethods, QueryDsl, SelectableHelper, pg::Pg, query_builder::QueryFragment};
            use shared::database::{
                SqlError, StatementClient,
                schema::$table::{self, $id, created_at, last_cached_at},
            };

            use super::{Selection, quota};

            /// Ids of those never cached, oldest first.
            pub fn never_cached(limit: usize) -> impl QueryFragment<Pg> + Send + Sync {
                let unmarked = $table::table.filter(last_cached_at.is_null()).order((created_at, $id));
                unmarked.limit(limit as i64).select($id)
            }

            /// Ids of those cached longest ago.
            pub fn least_recently_cached(limit: usize) -> impl QueryFragment<Pg> + Send + Sync {
                let marked = $table::table.filter(last_cached_at.is_not_null()).order((last_cached_at, $id));
                marked.limit(limit as i64).select($id)
            }

            /// Ids of those cached last.
            pub fn most_recently_cached(limit: usize) -> impl QueryFragment<Pg> + Send + Sync {
                let marked = $table::table.filter(last_cached_at.is_not_null());
                marked.order((last_cached_at.desc(), $id.desc())).limit(limit as i64).select($id)
            }

            /// Those that are due for a cache of `size`, locked `FOR NO KEY UPDATE`, which lets orders that refer to them
            /// be inserted meanwhile, and in the order of their ids, so that two rounds never deadlock.
            ///
            /// # Errors
            /// When the database fails.
            pub async fn due(database: &mut StatementClient, size: usize) -> Result<Selection<$row>, SqlError> {
                let mut ids = found(&never_cached(size), database).await?;
                let aged = found(&least_recently_cached(size), database).await?;
                let (new, old) = quota(ids.len(), aged.len(), size);
                ids.truncate(new);
                let never_cached: HashSet<String> = ids.iter().cloned().collect();
                ids.extend(aged.into_iter().take(old));
                let these = $table::table.filter($id.eq_any(ids)).order($id);
                let locked = database.query(&these.for_no_key_update().select(<$columns>::as_select())).await?;
                let rows: Vec<$row> = locked.iter().map(Into::into).collect();
                // Those that somebody deleted before they were locked are not among them.
                let new = rows.iter().filter(|row| never_cached.contains(row.$id.as_str())).count();
                Ok(Selection { rows, new })
            }

            /// Those that were cached last, as they are now.
            ///
            /// # Errors
            /// When the database fails.
            pub async fn cached_last(database: &mut StatementClient, size: usize) -> Result<Vec<$row>, SqlError> {
                let ids = found(&most_recently_cached(size), database).await?;
                let these = $table::table.filter($id.eq_any(ids)).order($id);
                let rows = database.query(&these.select(<$columns>::as_select())).await?;
                Ok(rows.iter().map(Into::into).collect())
            }

            async fn found(ids: &(impl QueryFragment<Pg> + Sync), database: &mut StatementClient) -> Result<Vec<String>, SqlError> {
                Ok(database.query(ids).await?.iter().map(|row| row.get(0)).collect())
            }

            /// Says of `rows` that they were cached at `at`.
            ///
            /// # Errors
            /// When the database fails.
            pub async fn mark(database: &mut StatementClient, rows: &[$row], at: DateTime<Utc>) -> Result<u64, SqlError> {
                let ids: Vec<&str> = rows.iter().map(|row| row.$id.as_str()).collect();
                let cached = diesel::update($table::table.filter($id.eq_any(ids))).set(last_cached_at.eq(at));
                database.execute(&cached).await
            }

            /// Says of every row that it was never cached, and how many had been.
            ///
            /// # Errors
            /// When the database fails.
            pub async fn forget(database: &mut StatementClient) -> Result<u64, SqlError> {
                let marked = diesel::update($table::table.filter(last_cached_at.is_not_null()));
                database.execute(&marked.set(last_cached_at.eq(None::<DateTime<Utc>>))).await
            }
        }
    };
}

table! {
    /// The users' table.
    users, user_id, shared::catalog::User, shared::database::UserRow
}
table! {
    /// The products' table.
    products, product_id, shared::catalog::Product, shared::database::ProductRow
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, VecDeque};

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

    #[test]
    fn a_full_turn_serves_both_halves() {
        assert_eq!(full_turn(0, 0, 1_000), 0);
        assert_eq!(full_turn(1, 0, 1_000), 1);
        assert_eq!(full_turn(0, 10_000, 1_000), 10);
        assert_eq!(full_turn(10_000, 0, 1_000), 10);
        assert_eq!(full_turn(5_000, 5_000, 1_000), 10);
        // 500 of each for two rounds, then 1,000 of the aged.
        assert_eq!(full_turn(1_000, 5_000, 1_000), 6);
    }

    /// A table as the rule sees it: who was never cached, oldest first, and who was, the one cached longest ago first. The
    /// number is the one of the row.
    #[derive(Default)]
    struct Table {
        never_cached: VecDeque<usize>,
        aged: VecDeque<usize>,
        /// By row: the round by which it must come round next.
        deadlines: Vec<usize>,
    }

    impl Table {
        fn add(&mut self, rows: usize, round: usize, half: usize) {
            for _ in 0..rows {
                self.never_cached.push_back(self.deadlines.len());
                self.deadlines.push(0);
            }
            let turn = self.deadlines.len().div_ceil(half);
            let first = self.deadlines.len() - rows;
            self.deadlines[first..].fill(round + turn);
        }

        /// What one round caches. The real one breaks ties by id, so rows that were cached together stay so sorted.
        fn round(&mut self, size: usize) -> BTreeSet<usize> {
            let (new, old) = quota(self.never_cached.len().min(size), self.aged.len().min(size), size);
            let mut cached: BTreeSet<usize> = self.never_cached.drain(..new).collect();
            cached.extend(self.aged.drain(..old));
            self.aged.extend(&cached);
            cached
        }
    }

    proptest! {
        #[test]
        fn the_cache_is_filled_with_what_exists_and_the_aged_always_have_their_half(new in 0..3_000usize, aged in 0..3_000usize, size in 2..2_000usize) {
            let (from_new, from_aged) = quota(new, aged, size);
            prop_assert!(from_new <= new && from_aged <= aged);
            prop_assert_eq!(from_new + from_aged, size.min(new + aged));
            prop_assert!(from_aged >= aged.min(size / 2) && from_new >= new.min(size / 2));
        }

        #[test]
        fn every_row_comes_round_in_its_time_however_many_new_ones_arrive(
            half in 1..20usize,
            rows in 0..200usize,
            inflow in prop::collection::vec(prop_oneof![2 => Just(0), 2 => 0..30usize, 1 => 0..400usize], 1..120),
        ) {
            let (size, mut table) = (half * 2, Table::default());
            table.add(rows, 0, half);
            for (round, arriving) in (1..).zip(inflow) {
                let there = table.deadlines.len();
                for row in table.round(size) {
                    prop_assert!(round <= table.deadlines[row], "row {} in round {} instead of {}", row, round, table.deadlines[row]);
                    table.deadlines[row] = round + there.div_ceil(half);
                }
                let overdue = table.deadlines.iter().filter(|deadline| **deadline <= round).count();
                prop_assert_eq!(overdue, 0);
                table.add(arriving, round, half);
            }
        }
    }
}
