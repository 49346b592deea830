//! The statistics of a comparison of two samples. None of them assumes a distribution.
//!
//! The test is the exact permutation test of the Mann–Whitney U statistic. Crates that have the test either approximate
//! it by a normal distribution, which is wrong for five runs a side, or refuse ties; here midranks are used and every
//! split of the sample is counted, so that the p-value is exact with ties too.

/// Result of a two-sided Mann–Whitney U test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankTest {
    /// Probability, if both samples have one distribution, of a U at least as far from its mean as the one observed.
    pub p: f64,
    /// The smallest p that these sample sizes and ties can have. The test can't find a change at a level below it.
    pub smallest_p: f64,
}

/// Compares two samples. `None` when one is empty. Infinite values are ranked; there must be no NaN.
pub fn mann_whitney(a: &[f64], b: &[f64]) -> Option<RankTest> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let pooled: Vec<f64> = a.iter().chain(b).copied().collect();
    let ranks = doubled_midranks(&pooled);
    let observed: usize = ranks[..a.len()].iter().sum();
    let sums = rank_sums(&ranks, a.len());
    // Doubled as the ranks are, the mean is a whole number.
    let mean = a.len() * (pooled.len() + 1);
    let distance = |sum: usize| sum.abs_diff(mean);
    let largest = sums.iter().enumerate().filter(|(_, share)| **share > 0.0).map(|(sum, _)| distance(sum)).max()?;
    let beyond = |least: usize| {
        let beyond = sums.iter().enumerate().filter(|(sum, _)| distance(*sum) >= least);
        beyond.map(|(_, share)| share).sum::<f64>().min(1.0)
    };
    Some(RankTest { p: beyond(distance(observed)), smallest_p: beyond(largest) })
}

/// Twice the rank of each value, from 1; equal values have the mean of their ranks.
fn doubled_midranks(values: &[f64]) -> Vec<usize> {
    let below = |value: f64| values.iter().filter(|other| **other < value).count();
    let equal = |value: f64| values.iter().filter(|other| **other == value).count();
    values.iter().map(|value| 2 * below(*value) + equal(*value) + 1).collect()
}

/// The distribution of the sum of `size` of the `ranks`, when each choice of them is equally likely: the share of the
/// choices by their sum.
fn rank_sums(ranks: &[usize], size: usize) -> Vec<f64> {
    let mut largest = ranks.to_vec();
    largest.sort_unstable_by(|a, b| b.cmp(a));
    let limit: usize = largest.iter().take(size).sum();
    // `counts[k][s]`: number of choices of k ranks with sum s.
    let mut counts = vec![vec![0.0; limit + 1]; size + 1];
    counts[0][0] = 1.0;
    for rank in ranks {
        for chosen in (1..=size).rev() {
            let (fewer, more) = counts.split_at_mut(chosen);
            for sum in *rank..=limit {
                more[0][sum] += fewer[chosen - 1][sum - rank];
            }
        }
    }
    let sums = counts.swap_remove(size);
    let choices: f64 = sums.iter().sum();
    sums.into_iter().map(|count| count / choices).collect()
}

/// The smallest p of a two-sided test of samples without ties.
pub fn smallest_p(a: usize, b: usize) -> f64 {
    let choices: f64 = (1..=a).map(|n| (b + n) as f64 / n as f64).product();
    (2.0 / choices).min(1.0)
}

/// Cliff's delta of `b` against `a`: the share of the pairs in which `b` is larger, minus the share in which it is
/// smaller. From -1 to 1; 0 when neither is larger.
pub fn cliffs_delta(a: &[f64], b: &[f64]) -> f64 {
    let signs = b.iter().flat_map(|b| a.iter().map(move |a| f64::from(i8::from(b > a) - i8::from(b < a))));
    signs.sum::<f64>() / (a.len() * b.len()) as f64
}

/// How far `b` is above `a`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shift {
    /// The Hodges–Lehmann estimate: the median of the differences of all pairs.
    pub estimate: f64,
    /// The interval that has the shift with the confidence asked. `None` when the samples are too small for it.
    pub interval: Option<(f64, f64)>,
}

/// The shift and its interval of at least `confidence` (0 to 1), which is the inversion of the Mann–Whitney test.
/// `None` when a sample is empty or has an infinite value.
pub fn hodges_lehmann(a: &[f64], b: &[f64], confidence: f64) -> Option<Shift> {
    if a.is_empty() || b.is_empty() || a.iter().chain(b).any(|value| !value.is_finite()) {
        return None;
    }
    let mut differences: Vec<f64> = b.iter().flat_map(|b| a.iter().map(move |a| b - a)).collect();
    differences.sort_by(f64::total_cmp);
    let tail = differences_outside(a.len(), b.len(), (1.0 - confidence) / 2.0);
    let interval = tail.map(|outside| (differences[outside], differences[differences.len() - 1 - outside]));
    Some(Shift { estimate: median(&differences), interval })
}

/// How many of the differences, from each end, an interval can leave out, with a probability of at most `tail` at each
/// end that it misses the shift. `None` when even the interval of all differences misses it more often.
fn differences_outside(a: usize, b: usize, tail: f64) -> Option<usize> {
    let ranks: Vec<usize> = (1..=a + b).collect();
    let lowest = a * (a + 1) / 2;
    let mut below = 0.0;
    let by_u = rank_sums(&ranks, a).into_iter().skip(lowest);
    // With U at most k, the k smallest differences are on one side of 0.
    let within = by_u.take_while(|share| {
        below += share;
        below <= tail * (1.0 + 1e-9)
    });
    within.count().checked_sub(1)
}

/// The median of sorted values; of an even number, the mean of the two in the middle. There must be one.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
}

/// The median of values in any order. There must be one.
pub fn median_of(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    median(&sorted)
}

/// Holm's adjustment of several p-values: with those adjusted at most α, the probability of one or more false
/// positives among all is at most α.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let (mut adjusted, mut largest) = (vec![1.0; p.len()], 0.0_f64);
    for (rank, index) in order.into_iter().enumerate() {
        largest = largest.max((p.len() - rank) as f64 * p[index]).min(1.0);
        adjusted[index] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn p(a: &[f64], b: &[f64]) -> f64 {
        mann_whitney(a, b).unwrap().p
    }

    /// Two samples without ties whose U is `u`: the values of `a` are below those of `b` but for `u` pairs.
    fn with_u(a: usize, b: usize, mut u: usize) -> (Vec<f64>, Vec<f64>) {
        let low: Vec<f64> = (0..b).map(|value| 10.0 * value as f64).collect();
        let place = |below: usize, at: usize| 10.0 * below as f64 - 5.0 + at as f64 / 100.0;
        let high = (0..a).map(|at| {
            let below = u.min(b);
            u -= below;
            place(below, a - at)
        });
        (high.collect(), low)
    }

    #[test]
    fn the_test_has_the_critical_values_of_the_published_tables() {
        // Two-sided, 5 %: the largest U that is significant (Mann and Whitney's table, as in statistics textbooks).
        for (a, b, critical) in [
            (3, 5, Some(0)),
            (4, 4, Some(0)),
            (4, 5, Some(1)),
            (4, 6, Some(2)),
            (5, 5, Some(2)),
            (5, 6, Some(3)),
            (5, 10, Some(8)),
            (6, 6, Some(5)),
            (7, 7, Some(8)),
            (8, 8, Some(13)),
            (10, 10, Some(23)),
            (20, 20, Some(127)),
            (3, 3, None),
            (3, 4, None),
            (2, 5, None),
        ] {
            let significant = |u: usize| {
                let (a, b) = with_u(a, b, u);
                p(&a, &b) <= 0.05
            };
            let found = (0..a * b / 2).take_while(|u| significant(*u)).last();
            assert_eq!(found, critical, "{a} and {b} values");
        }
    }

    #[test]
    fn the_smallest_p_is_that_of_two_samples_that_do_not_overlap() {
        for (a, b, expected) in [(3, 3, 0.1), (4, 4, 2.0 / 70.0), (5, 5, 2.0 / 252.0), (1, 1, 1.0), (1, 10, 2.0 / 11.0)]
        {
            let (low, high) = with_u(a, b, 0);
            let test = mann_whitney(&low, &high).unwrap();
            assert!(
                (test.p - expected).abs() < 1e-12 && (test.smallest_p - expected).abs() < 1e-12,
                "{a} {b} {test:?}"
            );
            assert!((smallest_p(a, b) - expected).abs() < 1e-12);
        }
        let equal = mann_whitney(&[1.0; 5], &[1.0; 5]).unwrap();
        assert_eq!((equal.p, equal.smallest_p), (1.0, 1.0));
        assert_eq!(mann_whitney(&[], &[1.0]), None);
    }

    #[test]
    fn what_never_recovered_is_ranked_above_all_others() {
        let never = f64::INFINITY;
        assert!((p(&[1.0, 2.0, 3.0, 4.0], &[never, 5.0, never, 6.0]) - 2.0 / 70.0).abs() < 1e-12);
        assert_eq!(hodges_lehmann(&[1.0], &[never], 0.95), None);
    }

    #[test]
    fn holm_multiplies_the_smallest_by_the_number_of_tests_and_keeps_the_order() {
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
        let expected = [0.03, 0.06, 0.06, 0.02];
        assert!(adjusted.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{adjusted:?}");
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }

    #[test]
    fn the_interval_is_that_of_the_tables_and_there_is_none_with_three_values_a_side() {
        // With 5 and 5 values, the 95 % interval leaves out the two outermost of the 25 differences at each end.
        assert_eq!(differences_outside(5, 5, 0.025), Some(2));
        assert_eq!(differences_outside(10, 10, 0.025), Some(23));
        assert_eq!((differences_outside(3, 3, 0.025), differences_outside(4, 4, 0.025)), (None, Some(0)));
        let (a, b) = ([1.0, 2.0, 3.0, 4.0], [11.0, 12.0, 13.0, 14.0]);
        assert_eq!(hodges_lehmann(&a, &b, 0.95), Some(Shift { estimate: 10.0, interval: Some((7.0, 13.0)) }));
        assert_eq!((cliffs_delta(&a, &b), cliffs_delta(&b, &a), cliffs_delta(&a, &a)), (1.0, -1.0, 0.0));
    }

    /// All ways to choose `size` of the values.
    fn splits(values: &[f64], size: usize) -> Vec<(Vec<f64>, Vec<f64>)> {
        let chosen = (0..1_u32 << values.len()).filter(|bits| bits.count_ones() as usize == size);
        let part = |bits: u32, of: u32| {
            let values = values.iter().enumerate().filter(move |(at, _)| bits >> at & 1 == of);
            values.map(|(_, value)| *value).collect()
        };
        chosen.map(|bits| (part(bits, 1), part(bits, 0))).collect()
    }

    proptest! {
        #[test]
        fn without_a_change_p_is_at_most_alpha_in_a_share_of_alpha_of_all_splits_with_ties_too(
            values in prop::collection::vec(0..6_u8, 4..9),
            size in 1..4_usize,
            alpha in 0.01..0.5_f64,
        ) {
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            let splits = splits(&values, size);
            let found = splits.iter().filter(|(a, b)| p(a, b) <= alpha).count();
            prop_assert!(found as f64 / splits.len() as f64 <= alpha + 1e-9);
        }

        #[test]
        fn p_is_the_share_of_the_splits_whose_u_is_as_far_from_its_mean(
            values in prop::collection::vec(0..9_u8, 3..9),
            size in 1..3_usize,
        ) {
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            let splits = splits(&values, size);
            let distance = |(a, b): &(Vec<f64>, Vec<f64>)| cliffs_delta(a, b).abs();
            for split in &splits {
                let far = splits.iter().filter(|other| distance(other) >= distance(split) - 1e-9).count();
                let expected = far as f64 / splits.len() as f64;
                prop_assert!((p(&split.0, &split.1) - expected).abs() < 1e-9);
            }
        }

        #[test]
        fn the_interval_has_the_estimate_and_moves_with_the_values(
            a in prop::collection::vec(0.0..100.0_f64, 4..12),
            b in prop::collection::vec(0.0..100.0_f64, 4..12),
            by in -50.0..50.0_f64,
        ) {
            let shift = hodges_lehmann(&a, &b, 0.95).unwrap();
            let (low, high) = shift.interval.unwrap();
            prop_assert!(low <= shift.estimate && shift.estimate <= high);
            let moved: Vec<f64> = b.iter().map(|value| value + by).collect();
            let moved = hodges_lehmann(&a, &moved, 0.95).unwrap();
            prop_assert!((moved.estimate - shift.estimate - by).abs() < 1e-9);
        }
    }
}
