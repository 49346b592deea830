//! A value for each order or change of a run, by its number.

use std::collections::HashMap;

/// Numbers of a page.
const PAGE: u64 = 1 << 12;

/// Values of a page from which on it is dense: the sparse form would take as much memory.
const DENSE_FROM: usize = PAGE as usize * 3 / 4;

/// A value for each number; the default value where none was set. The values are in pages, which are allocated when
/// they are used: a number far beyond the others costs one page. The numbers of orders fill their pages, those of
/// changes do not.
#[derive(Clone, Debug)]
pub struct BySequence<Value> {
    pages: HashMap<u64, Page<Value>>,
}

#[derive(Clone, Debug)]
enum Page<Value> {
    /// The values that are set, with their places in the page, ordered by these.
    Sparse { places: Vec<u16>, values: Vec<Value> },
    /// A value for each place.
    Dense(Box<[Value]>),
}

impl<Value> Default for BySequence<Value> {
    fn default() -> Self {
        Self { pages: HashMap::new() }
    }
}

impl<Value: Copy + Default> BySequence<Value> {
    pub fn get(&self, sequence: u64) -> Value {
        self.pages.get(&(sequence / PAGE)).map_or_else(Value::default, |page| page.get((sequence % PAGE) as u16))
    }

    pub fn set(&mut self, sequence: u64, value: Value) {
        let empty = || Page::Sparse { places: Vec::new(), values: Vec::new() };
        self.pages.entry(sequence / PAGE).or_insert_with(empty).set((sequence % PAGE) as u16, value);
    }
}

impl<Value: Copy + Default> Page<Value> {
    fn get(&self, place: u16) -> Value {
        match self {
            Self::Dense(values) => values[usize::from(place)],
            Self::Sparse { places, values } => {
                places.binary_search(&place).map_or_else(|_| Value::default(), |at| values[at])
            }
        }
    }

    fn set(&mut self, place: u16, value: Value) {
        match self {
            Self::Dense(values) => values[usize::from(place)] = value,
            Self::Sparse { places, values } => match places.binary_search(&place) {
                Ok(at) => values[at] = value,
                Err(at) => {
                    insert(places, at, place);
                    insert(values, at, value);
                    if places.len() == DENSE_FROM {
                        *self = Self::dense(places, values);
                    }
                }
            },
        }
    }

    fn dense(places: &[u16], values: &[Value]) -> Self {
        let mut all = vec![Value::default(); PAGE as usize].into_boxed_slice();
        places.iter().zip(values).for_each(|(place, value)| all[usize::from(*place)] = *value);
        Self::Dense(all)
    }
}

/// Inserts, and grows by an eighth: doubling would leave half of the memory unused.
fn insert<T>(values: &mut Vec<T>, at: usize, value: T) {
    if values.len() == values.capacity() {
        values.reserve_exact(values.len() / 8 + 8);
    }
    values.insert(at, value);
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

    #[test]
    fn a_page_with_gaps_keeps_its_values_in_any_order_and_when_it_becomes_dense() {
        let mut values = BySequence::default();
        let numbers = |step: u64| (0..PAGE).map(move |n| n * step % PAGE);
        for number in numbers(1_001).filter(|n| n % 8 < 4) {
            values.set(number, number + 1);
            values.set(number, number + 2);
        }
        assert!(matches!(values.pages[&0], Page::Sparse { .. }));
        let expected = |n: u64| if n % 8 < 4 { n + 2 } else { 0 };
        assert!((0..PAGE).all(|n| values.get(n) == expected(n)));
        numbers(2_003).for_each(|number| values.set(number, number + 3));
        assert!(matches!(values.pages[&0], Page::Dense(_)) && (0..PAGE).all(|n| values.get(n) == n + 3));
    }
}
