//! A value for each order of a run, by its sequence number.

use std::collections::HashMap;

/// Sequence numbers of a page.
const PAGE: u64 = 1 << 12;

/// A value for each sequence number; the default value where none was set. The numbers of a run are dense, so the
/// values are in pages, which are allocated when they are used: a number far beyond the others costs one page.
#[derive(Clone, Debug)]
pub struct BySequence<Value> {
    pages: HashMap<u64, Box<[Value]>>,
}

impl<Value> Default for BySequence<Value> {
    fn default() -> Self {
        Self { pages: HashMap::new() }
    }
}

impl<Value: Copy + Default> BySequence<Value> {
    pub fn get(&self, sequence: u64) -> Value {
        self.pages.get(&(sequence / PAGE)).map_or_else(Value::default, |page| page[(sequence % PAGE) as usize])
    }

    pub fn set(&mut self, sequence: u64, value: Value) {
        let empty = || vec![Value::default(); PAGE as usize].into_boxed_slice();
        self.pages.entry(sequence / PAGE).or_insert_with(empty)[(sequence % PAGE) as usize] = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_kept_for_each_number_and_a_number_far_away_costs_one_page() {
        let mut values = BySequence::default();
        for n in 0..3 * PAGE {
            values.set(n, n);
        }
        values.set((1 << 38) - 1, 7);
        assert!((0..3 * PAGE).all(|n| values.get(n) == n));
        assert_eq!((values.get((1 << 38) - 1), values.get(1 << 20), values.pages.len()), (7, 0, 4));
    }
}
