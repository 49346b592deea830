//! Random choice from a table: by weight, or uniform.

use rand::{
    Rng, RngExt,
    distr::{Distribution, weighted::WeightedIndex},
};

/// A table whose rows are drawn in proportion to the number in front of them.
pub struct Weighted<T: 'static> {
    rows: &'static [(u32, T)],
    index: WeightedIndex<u32>,
}

impl<T> Weighted<T> {
    /// Only for the tables of this crate, so a table that cannot be drawn from (empty, or nothing but zeros) is a mistake
    /// in the source and panics at the first draw, in every test that touches it.
    pub fn new(rows: &'static [(u32, T)]) -> Self {
        let index = WeightedIndex::new(rows.iter().map(|(share, _)| *share)).expect("a table has shares above zero");
        Self { rows, index }
    }

    /// One of the rows.
    pub fn draw(&self, random: &mut impl Rng) -> &'static T {
        &self.rows[self.index.sample(random)].1
    }
}

/// One of `rows`, each as likely as the next. `rows` must not be empty.
pub fn pick<T: Copy>(random: &mut impl Rng, rows: &[T]) -> T {
    rows[random.random_range(0..rows.len())]
}

/// Fails unless `count` of `draws` is what a row with this `share` (0 to 1) gets, give or take five standard deviations.
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
    fn a_row_without_a_share_is_never_drawn() {
        let table = Weighted::new(&[(1, "often"), (0, "never"), (2, "oftener")]);
        let mut random = StdRng::seed_from_u64(1);
        assert!((0..1_000).all(|_| *table.draw(&mut random) != "never"));
    }
}
