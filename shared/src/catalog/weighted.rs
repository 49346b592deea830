//! Random choice of a row from a table, weighted or uniform.

use rand::{
    Rng, RngExt,
    distr::{Distribution, weighted::WeightedIndex},
};

/// A table whose rows are chosen in proportion to their weights.
pub struct Weighted<T: 'static> {
    rows: &'static [(u32, T)],
    index: WeightedIndex<u32>,
}

impl<T> Weighted<T> {
    /// A table of (weight, row).
    ///
    /// # Panics
    /// When there is no weight above 0. All tables are constants, so that would be an error in the source.
    pub fn new(rows: &'static [(u32, T)]) -> Self {
        let index = WeightedIndex::new(rows.iter().map(|(weight, _)| *weight)).expect("a table has weights above 0");
        Self { rows, index }
    }

    /// Chooses a row.
    pub fn draw(&self, random: &mut impl Rng) -> &'static T {
        &self.rows[self.index.sample(random)].1
    }
}

/// Chooses one of `rows`, all with the same probability. `rows` must not be empty.
pub fn pick<T: Copy>(random: &mut impl Rng, rows: &[T]) -> T {
    rows[random.random_range(0..rows.len())]
}

/// Fails unless `count` of `draws` is within five standard deviations of the expected count of a row with this `share`
/// (0 to 1).
#[cfg(test)]
pub fn assert_share(what: &str, count: usize, draws: usize, share: f64) {
    let expected = draws as f64 * share;
    let tolerance = 5.0 * (expected * (1.0 - share)).sqrt();
    assert!(
        (count as f64 - expected).abs() <= tolerance,
        "{what}: {count} drawn, {expected:.0} ± {tolerance:.0} expected"
    );
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn a_row_of_weight_0_is_never_drawn() {
        let table = Weighted::new(&[(1, "often"), (0, "never"), (2, "more often")]);
        let mut random = StdRng::seed_from_u64(1);
        assert!((0..1_000).all(|_| *table.draw(&mut random) != "never"));
    }
}
