//! The figures of two sides, and which of them changed.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    differences::warnings,
    figures::{Direction, Family, Figure, RunFigures},
    statistics::{RankTest, Shift, cliffs_delta, hodges_lehmann, holm, mann_whitney, median_of, smallest_p},
};

/// Two sides compared.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Ids of the runs.
    pub runs_a: Vec<String>,
    pub runs_b: Vec<String>,
    /// Probability of a false change among the figures of a family.
    pub alpha: f64,
    pub families: Vec<FamilySize>,
    pub figures: Vec<ComparedFigure>,
    /// Counts above 0 that must be 0, by side and run: `B 20261126-… missing`. A key figure that a run of B lacks is 1.
    pub violations: BTreeMap<String, u64>,
    /// What differs between the sides besides the figures.
    pub warnings: Vec<String>,
}

/// How many figures are tested together, and how many runs that needs.
#[derive(Clone, Debug, Serialize)]
pub struct FamilySize {
    pub family: Family,
    /// Figures whose values are not all equal.
    pub tested: usize,
    /// The smallest adjusted p that the numbers of runs allow.
    pub smallest_p: f64,
    /// Runs a side with which a change of one figure can be told; at most [`MAX_RUNS`].
    pub runs_needed: usize,
}

/// The largest number of runs that is recommended.
const MAX_RUNS: usize = 64;

#[derive(Clone, Debug, Serialize)]
pub struct ComparedFigure {
    pub name: String,
    pub unit: String,
    pub family: Family,
    pub better: Direction,
    /// Values of the runs; `null` for a run that did not recover.
    pub a: Vec<Option<f64>>,
    pub b: Vec<Option<f64>>,
    /// `None` when the middle run did not recover.
    pub median_a: Option<f64>,
    pub median_b: Option<f64>,
    /// Hodges–Lehmann shift of B against A, in the unit of the figure and in per cent of the median of A.
    pub shift: Option<f64>,
    pub shift_percent: Option<f64>,
    /// The interval of `shift_percent`, with a confidence of 1 - alpha, not corrected for the number of figures.
    pub interval_percent: Option<(f64, f64)>,
    pub cliffs_delta: f64,
    /// Of the Mann–Whitney test, two-sided and exact.
    pub p: f64,
    /// `p` after Holm's correction for the figures of the family.
    pub adjusted_p: f64,
    pub change: Change,
}

/// What the runs say about a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    Better,
    Worse,
    /// No change beyond the noise was found, though these numbers of runs can show one.
    None,
    /// Too few runs: even sides that don't overlap would not be beyond the noise.
    TooFewRuns,
    /// All values are equal.
    Equal,
}

impl Comparison {
    /// Compares `b` with `a`. Figures that one side does not have are left out, with a warning.
    pub fn new(a: &[RunFigures], b: &[RunFigures], alpha: f64) -> Self {
        let mut figures: Vec<ComparedFigure> =
            names(a, b).iter().filter_map(|name| compare(name, a, b, alpha)).collect();
        let families = [Family::Key, Family::Detail].map(|family| correct(family, &mut figures, alpha));
        let ids = |side: &[RunFigures]| side.iter().map(|run| run.run_id.clone()).collect();
        let mut warnings = warnings(a, b);
        warnings.extend(lacking(a, b));
        Self {
            runs_a: ids(a),
            runs_b: ids(b),
            alpha,
            families: families.into_iter().flatten().collect(),
            figures,
            violations: violations("A", a).chain(violations("B", b)).chain(unmeasured(a, b)).collect(),
            warnings,
        }
    }
}

/// The names of all figures, in the order of the first run that has them.
fn names(a: &[RunFigures], b: &[RunFigures]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for figure in a.iter().chain(b).flat_map(|run| &run.figures) {
        if !names.contains(&figure.name) {
            names.push(figure.name.clone());
        }
    }
    names
}

fn of_side<'a>(name: &str, side: &'a [RunFigures]) -> Vec<&'a Figure> {
    side.iter().filter_map(|run| run.figure(name)).collect()
}

fn compare(name: &str, a: &[RunFigures], b: &[RunFigures], alpha: f64) -> Option<ComparedFigure> {
    let (of_a, of_b) = (of_side(name, a), of_side(name, b));
    let figure = *of_a.first()?;
    let ranks = |figures: &[&Figure]| figures.iter().map(|figure| figure.rank_value()).collect::<Vec<_>>();
    let (a, b) = (ranks(&of_a), ranks(&of_b));
    let RankTest { p, .. } = mann_whitney(&a, &b)?;
    let (median_a, median_b) = (median_of(&a), median_of(&b));
    let shift = hodges_lehmann(&a, &b, 1.0 - alpha);
    let percent = |value: f64| (median_a != 0.0).then(|| value / median_a * 100.0);
    let interval = shift.and_then(|Shift { interval, .. }| interval);
    let finite = |value: f64| value.is_finite().then_some(value);
    let values = |figures: Vec<&Figure>| figures.iter().map(|figure| figure.value).collect();
    Some(ComparedFigure {
        name: name.to_owned(),
        unit: figure.unit.clone(),
        family: figure.family,
        better: figure.better,
        a: values(of_a),
        b: values(of_b),
        median_a: finite(median_a),
        median_b: finite(median_b),
        shift: shift.map(|shift| shift.estimate),
        shift_percent: shift.and_then(|shift| percent(shift.estimate)),
        interval_percent: interval.and_then(|(low, high)| Some((percent(low)?, percent(high)?))),
        cliffs_delta: cliffs_delta(&a, &b),
        p,
        adjusted_p: p,
        change: Change::Equal,
    })
}

/// Corrects the p-values of a family and tells which figures changed. A figure whose values are all equal can't be a
/// false positive and is not counted.
fn correct(family: Family, figures: &mut [ComparedFigure], alpha: f64) -> Option<FamilySize> {
    let is_tested = |figure: &ComparedFigure| {
        let mut values = figure.a.iter().chain(&figure.b);
        let first = values.next().copied().flatten();
        figure.family == family && values.any(|value| *value != first)
    };
    let mut tested: Vec<&mut ComparedFigure> = figures.iter_mut().filter(|figure| is_tested(figure)).collect();
    let adjusted = holm(&tested.iter().map(|figure| figure.p).collect::<Vec<_>>());
    let count = tested.len() as f64;
    for (figure, adjusted_p) in tested.iter_mut().zip(adjusted) {
        let can_tell = smallest_p(figure.a.len(), figure.b.len()) * count <= alpha;
        let is_worse = (figure.cliffs_delta > 0.0) == (figure.better == Direction::Lower);
        figure.adjusted_p = adjusted_p;
        figure.change = match (adjusted_p <= alpha, is_worse) {
            (true, true) => Change::Worse,
            (true, false) => Change::Better,
            (false, _) if can_tell => Change::None,
            (false, _) => Change::TooFewRuns,
        };
    }
    let first = tested.first()?;
    let needed = (1..MAX_RUNS).find(|runs| smallest_p(*runs, *runs) * count <= alpha);
    Some(FamilySize {
        family,
        tested: tested.len(),
        smallest_p: (smallest_p(first.a.len(), first.b.len()) * count).min(1.0),
        runs_needed: needed.unwrap_or(MAX_RUNS),
    })
}

fn violations(side: &str, runs: &[RunFigures]) -> impl Iterator<Item = (String, u64)> {
    let counts = runs.iter().flat_map(move |run| {
        run.must_be_zero.iter().map(move |(name, count)| (format!("{side} {} {name}", run.run_id), *count))
    });
    counts.filter(|(_, count)| *count > 0)
}

/// The key figures of A that runs of B lack. Without them nothing is known of the main promise.
fn unmeasured(a: &[RunFigures], b: &[RunFigures]) -> impl Iterator<Item = (String, u64)> {
    let key = |name: &String| of_side(name, a).iter().any(|figure| figure.family == Family::Key);
    let names: Vec<String> = names(a, b).into_iter().filter(key).collect();
    b.iter().flat_map(move |run| {
        let lacks = names
            .iter()
            .filter(|name| run.figure(name).is_none())
            .map(|name| format!("B {} {name} not measured", run.run_id));
        lacks.map(|name| (name, 1)).collect::<Vec<_>>()
    })
}

/// Figures that some runs don't have, such as those of a fault that only one side has.
fn lacking(a: &[RunFigures], b: &[RunFigures]) -> Vec<String> {
    let lacks = |name: &str, side: &str, runs: &[RunFigures]| {
        let lacking = runs.len() - of_side(name, runs).len();
        (lacking > 0).then(|| format!("{name}: not measured in {lacking} of {} runs of {side}", runs.len()))
    };
    names(a, b).iter().flat_map(|name| [lacks(name, "A", a), lacks(name, "B", b)]).flatten().collect()
}
