//! The aging rule: half of the cache is for rows that were never cached, half for the rows that were cached longest
//! ago. If one half has too few rows, the other half takes the rest.

/// Numbers of rows of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowCounts {
    /// Never cached before.
    pub new: usize,
    /// Cached before.
    pub aged: usize,
}

impl RowCounts {
    pub fn total(self) -> usize {
        self.new + self.aged
    }
}

/// How many of the `available` rows one round puts into a cache of `size` rows.
pub fn quota(available: RowCounts, size: usize) -> RowCounts {
    let reserved_for_new = size / 2;
    let new = available.new.min(reserved_for_new.max(size.saturating_sub(available.aged)));
    RowCounts { new, aged: available.aged.min(size - new) }
}

/// Number of rounds until each of these rows has been in a cache of `size` rows, if no rows are added.
pub fn full_cycle_rounds(rows: RowCounts, size: usize) -> usize {
    let (mut left, mut rounds) = (rows, 0);
    while left.total() > 0 {
        let cached = quota(left, size);
        left = RowCounts { new: left.new - cached.new, aged: left.aged - cached.aged };
        rounds += 1;
    }
    rounds
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, VecDeque};

    use proptest::prelude::*;

    use super::*;

    const fn counts(new: usize, aged: usize) -> RowCounts {
        RowCounts { new, aged }
    }

    #[test]
    fn if_one_half_has_too_few_rows_the_other_half_takes_the_rest() {
        assert_eq!(quota(counts(2_000, 2_000), 1_000), counts(500, 500));
        assert_eq!(quota(counts(30, 2_000), 1_000), counts(30, 970));
        assert_eq!(quota(counts(2_000, 30), 1_000), counts(970, 30));
        assert_eq!(quota(counts(0, 0), 1_000), counts(0, 0));
        assert_eq!(quota(counts(300, 300), 1_000), counts(300, 300));
    }

    #[test]
    fn a_full_cycle_serves_both_halves() {
        assert_eq!(full_cycle_rounds(counts(0, 0), 1_000), 0);
        assert_eq!(full_cycle_rounds(counts(1, 0), 1_000), 1);
        assert_eq!(full_cycle_rounds(counts(0, 10_000), 1_000), 10);
        assert_eq!(full_cycle_rounds(counts(10_000, 0), 1_000), 10);
        assert_eq!(full_cycle_rounds(counts(5_000, 5_000), 1_000), 10);
        // 500 of each for two rounds, then 1,000 of the aged.
        assert_eq!(full_cycle_rounds(counts(1_000, 5_000), 1_000), 6);
    }

    /// A model of a table. Rows are numbered.
    #[derive(Default)]
    struct Table {
        /// Oldest first.
        never_cached: VecDeque<usize>,
        /// Ordered by when they were cached, earliest first.
        aged: VecDeque<usize>,
        /// By row: the round in which it must be refreshed at the latest.
        deadlines: Vec<usize>,
    }

    impl Table {
        fn add(&mut self, rows: usize, round: usize, half: usize) {
            for _ in 0..rows {
                self.never_cached.push_back(self.deadlines.len());
                self.deadlines.push(0);
            }
            let full_cycle = self.deadlines.len().div_ceil(half);
            let first = self.deadlines.len() - rows;
            self.deadlines[first..].fill(round + full_cycle);
        }

        /// Returns the rows that one round caches. The real tables break ties by id, so rows that were cached together
        /// stay sorted by number.
        fn round(&mut self, size: usize) -> BTreeSet<usize> {
            let found = counts(self.never_cached.len().min(size), self.aged.len().min(size));
            let taken = quota(found, size);
            let mut cached: BTreeSet<usize> = self.never_cached.drain(..taken.new).collect();
            cached.extend(self.aged.drain(..taken.aged));
            self.aged.extend(&cached);
            cached
        }
    }

    proptest! {
        #[test]
        fn the_cache_is_filled_with_what_exists_and_each_half_is_guaranteed(
            new in 0..3_000usize,
            aged in 0..3_000usize,
            size in 2..2_000usize,
        ) {
            let taken = quota(counts(new, aged), size);
            prop_assert!(taken.new <= new && taken.aged <= aged);
            prop_assert_eq!(taken.total(), size.min(new + aged));
            prop_assert!(taken.aged >= aged.min(size / 2) && taken.new >= new.min(size / 2));
        }

        #[test]
        fn every_row_is_refreshed_within_a_full_cycle_however_many_new_ones_arrive(
            half in 1..20usize,
            rows in 0..200usize,
            inflow in prop::collection::vec(prop_oneof![2 => Just(0), 2 => 0..30usize, 1 => 0..400usize], 1..120),
        ) {
            let (size, mut table) = (half * 2, Table::default());
            table.add(rows, 0, half);
            for (round, arriving) in (1..).zip(inflow) {
                let present = table.deadlines.len();
                for row in table.round(size) {
                    let deadline = table.deadlines[row];
                    prop_assert!(round <= deadline, "row {} in round {} instead of {}", row, round, deadline);
                    table.deadlines[row] = round + present.div_ceil(half);
                }
                let overdue = table.deadlines.iter().filter(|deadline| **deadline <= round).count();
                prop_assert_eq!(overdue, 0);
                table.add(arriving, round, half);
            }
        }
    }
}
