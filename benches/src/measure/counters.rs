//! The counters of a program over all its starts: a program that starts again counts from 0.

use std::ops::{Add, Index, IndexMut};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    Sent,
    Acknowledged,
    ChangesSent,
    ChangesAcknowledged,
    Consumed,
    Stored,
    ChangesStored,
    Duplicates,
    DeadLettered,
    /// Rows of all batches.
    BatchRows,
    Batches,
    /// Lookups that the consumer's own cache answered.
    LookupsInProcess,
    /// All lookups.
    Lookups,
}

const COUNTERS: usize = Counter::Lookups as usize + 1;

/// A value for each counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; COUNTERS]);

impl Index<Counter> for Counts {
    type Output = u64;

    fn index(&self, counter: Counter) -> &u64 {
        &self.0[counter as usize]
    }
}

impl IndexMut<Counter> for Counts {
    fn index_mut(&mut self, counter: Counter) -> &mut u64 {
        &mut self.0[counter as usize]
    }
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|counter| self.0[counter] + other.0[counter]))
    }
}

impl Counts {
    /// Each counter's increase since `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self(std::array::from_fn(|counter| self.0[counter].saturating_sub(earlier.0[counter])))
    }

    fn max(self, other: Self) -> Self {
        Self(std::array::from_fn(|counter| self.0[counter].max(other.0[counter])))
    }
}

/// The counters of a program that may be started several times. Their total never goes back.
#[derive(Debug, Default)]
pub struct LifetimeCounts {
    /// Of the starts before this one.
    earlier: Counts,
    start: u32,
    current: Counts,
}

impl LifetimeCounts {
    /// Takes over the counters of the program's start number `start`.
    pub fn read(&mut self, start: u32, counts: Counts) {
        if start != self.start {
            self.earlier = self.total();
            self.current = Counts::default();
            self.start = start;
        }
        self.current = self.current.max(counts);
    }

    /// The program has ended, and its latency log has `logged` rows that it committed since its first start. What it
    /// committed after its counters were last read counts as stored.
    pub fn note_committed(&mut self, logged: u64) {
        let total = self.total();
        self.earlier[Counter::Stored] += logged.saturating_sub(total[Counter::Stored] + total[Counter::Duplicates]);
    }

    /// Raises the totals to those that the program tells at its end.
    pub fn raise(&mut self, totals: Counts) {
        self.earlier = self.earlier + totals.since(self.total());
    }

    pub fn total(&self) -> Counts {
        self.earlier + self.current
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stored(stored: u64) -> Counts {
        let mut counts = Counts::default();
        counts[Counter::Stored] = stored;
        counts
    }

    proptest! {
        /// Each step: how much the program counts, whether it is read then, and whether it starts again afterwards.
        #[test]
        fn the_total_is_the_sum_of_the_last_values_of_all_starts_and_never_goes_back(
            steps in prop::collection::vec((0..1_000u64, any::<bool>(), prop::bool::weighted(0.2)), 0..60)
        ) {
            let (mut counts, mut start, mut value) = (LifetimeCounts::default(), 1, 0);
            let (mut expected, mut last_read) = (0, 0);
            for (increase, is_read, restarts) in steps {
                value += increase;
                if is_read {
                    let before = counts.total()[Counter::Stored];
                    counts.read(start, stored(value));
                    last_read = value;
                    prop_assert!(counts.total()[Counter::Stored] >= before);
                }
                prop_assert_eq!(counts.total()[Counter::Stored], expected + last_read);
                if restarts {
                    (start, value) = (start + 1, 0);
                    expected += std::mem::take(&mut last_read);
                }
            }
        }
    }

    #[test]
    fn what_a_program_committed_after_it_was_last_read_is_counted_once() {
        let mut counts = LifetimeCounts::default();
        let mut first = stored(90);
        first[Counter::Duplicates] = 5;
        counts.read(1, first);
        counts.note_committed(100);
        counts.note_committed(100);
        assert_eq!((counts.total()[Counter::Stored], counts.total()[Counter::Duplicates]), (95, 5));
        counts.read(2, stored(10));
        // The log ends before what was read last.
        counts.note_committed(108);
        assert_eq!(counts.total()[Counter::Stored], 105);
    }

    #[test]
    fn totals_are_raised_to_the_final_ones_and_never_lowered() {
        let mut counts = LifetimeCounts::default();
        counts.read(1, stored(90));
        counts.read(2, stored(20));
        counts.raise(stored(115));
        counts.raise(stored(100));
        assert_eq!(counts.total()[Counter::Stored], 115);
    }

    #[test]
    fn counters_are_apart() {
        let mut counts = stored(3);
        counts[Counter::Sent] = 10;
        let later = counts + stored(4);
        assert_eq!((later[Counter::Sent], later[Counter::Stored], later[Counter::Lookups]), (10, 7, 0));
        assert_eq!(later.since(counts), stored(4));
    }
}
