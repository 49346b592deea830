//! What all contests have in common: who runs when, and how the results of the rounds are summed up.

use std::fmt;

use indicatif::HumanCount;
use serde::Serialize;

/// The order of `contestants`, whose number is even, in a round. After as many rounds as there are contestants, each was
/// in every place once, and came once after each other one: a Latin square balanced for what the one before leaves
/// behind, such as dirty pages (E. J. Williams, 1949).
pub fn places<Contestant: Copy>(contestants: &[Contestant], round: u32) -> Vec<Contestant> {
    let number = contestants.len();
    // 0, 1, n - 1, 2, n - 2, …; the other rows add the number of the round.
    let first_row = (0..number).map(|place| if place % 2 == 1 { place.div_ceil(2) } else { number - place / 2 });
    first_row.map(|place| contestants[(place + round as usize) % number]).collect()
}

/// A number of rounds in which some contestant has an advantage of place is worth a line.
pub fn warn_of_incomplete_square(rounds: u32, contestants: usize) {
    if !(rounds as usize).is_multiple_of(contestants) {
        tracing::warn!(
            "not every contestant is in every place of a round: that takes a multiple of {contestants} rounds"
        );
    }
}

/// The values of the rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    pub median: f64,
    pub lowest: f64,
    pub highest: f64,
}

impl Spread {
    /// None without values.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.into_iter().collect();
        let (lowest, highest) = (values.iter().copied().reduce(f64::min)?, values.iter().copied().reduce(f64::max)?);
        Some(Self { median: median(values), lowest, highest })
    }

    /// `98,290/s` and `95,100–101,000`.
    pub fn speed(&self) -> [String; 2] {
        let count = |value: f64| HumanCount(value.round() as u64);
        [format!("{}/s", count(self.median)), format!("{}–{}", count(self.lowest), count(self.highest))]
    }
}

/// The median; of an even number of values, the mean of the two in the middle. `values` must not be empty.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

impl fmt::Display for Spread {
    /// `1.32 (1.28–1.35)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} ({:.2}–{:.2})", self.median, self.lowest, self.highest)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn after_as_many_rounds_as_contestants_each_was_in_every_place_and_after_each_other_one() {
        for number in [2, 4, 6, 8] {
            let contestants: Vec<usize> = (0..number).collect();
            let rounds: Vec<Vec<usize>> = (0..number).map(|round| places(&contestants, round as u32)).collect();
            for place in 0..number {
                let seen: BTreeSet<usize> = rounds.iter().map(|round| round[place]).collect();
                assert_eq!(seen.len(), number, "{rounds:?}");
            }
            let pairs: BTreeSet<&[usize]> = rounds.iter().flat_map(|round| round.windows(2)).collect();
            assert_eq!(pairs.len(), number * (number - 1), "{rounds:?}");
        }
    }

    #[test]
    fn the_median_is_the_middle_value_or_the_mean_of_the_middle_two() {
        let odd = Spread::of([3.0, 1.0, 2.0]).unwrap();
        assert_eq!(odd, Spread { median: 2.0, lowest: 1.0, highest: 3.0 });
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]).unwrap().median, 2.5);
        assert_eq!(Spread::of([]), None);
        assert_eq!(odd.to_string(), "2.00 (1.00–3.00)");
        assert_eq!(Spread { median: 98_290.4, ..odd }.speed(), ["98,290/s", "1–3"]);
    }
}
