//! A comparison and a gate as text.

use std::fmt;

use comfy_table::Table;
use shared::report::{align_right, table};

use super::{
    comparison::{Change, ComparedFigure, Comparison, FamilySize},
    figures::Family,
    gate::{GateReport, GateVerdict},
};

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "A: {} runs, {}\nB: {} runs, {}",
            self.runs_a.len(),
            list(&self.runs_a),
            self.runs_b.len(),
            list(&self.runs_b)
        )?;
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        for (count, orders) in &self.violations {
            writeln!(f, "NOT ZERO: {count}: {orders}")?;
        }
        for family in [Family::Key, Family::Detail] {
            let figures = || self.figures.iter().filter(|figure| figure.family == family);
            let mut rows = head(family);
            for figure in figures().filter(|figure| figure.change != Change::Equal) {
                rows.add_row(row(figure));
            }
            if !rows.is_empty() {
                writeln!(f, "{rows}")?;
            }
            let equal = figures().filter(|figure| figure.change == Change::Equal).map(|figure| figure.name.as_str());
            let equal: Vec<&str> = equal.collect();
            if !equal.is_empty() {
                writeln!(f, "equal in all runs: {}", equal.join(", "))?;
            }
        }
        for family in &self.families {
            writeln!(f, "{}", power(family, self.alpha))?;
        }
        write!(
            f,
            "Values are medians. The shift is the Hodges-Lehmann estimate of B against A, with its interval of {:.0} %. p \
             is of the exact two-sided Mann-Whitney test, corrected by Holm for the figures of the table.",
            (1.0 - self.alpha) * 100.0
        )
    }
}

impl fmt::Display for GateReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.comparison)?;
        match self.verdict {
            GateVerdict::Passed => write!(
                f,
                "gate: passed; no figure got worse beyond the noise and the tolerance of {} %",
                self.tolerance_percent
            ),
            GateVerdict::Worse => {
                let counts = self.violations.iter().map(|(name, count)| format!("{name}: {count}"));
                let all: Vec<String> = self.worse.iter().cloned().chain(counts).collect();
                write!(f, "gate: WORSE: {}", all.join(", "))
            }
            GateVerdict::TooFewRuns => f.write_str("gate: undecided; there are too few runs"),
        }
    }
}

fn list(runs: &[String]) -> String {
    match runs {
        [] => "none".to_owned(),
        [one] => one.clone(),
        [first, .., last] => format!("{first} to {last}"),
    }
}

fn head(family: Family) -> Table {
    let title = match family {
        Family::Key => "key figures",
        Family::Detail => "details",
    };
    let mut head = table([title, "A", "B", "shift, %", "p", "change"]);
    align_right(&mut head, 1..5);
    head
}

fn row(figure: &ComparedFigure) -> [String; 6] {
    let unit = if figure.unit.is_empty() { String::new() } else { format!(", {}", figure.unit) };
    let value = |value: Option<f64>| value.map_or_else(|| "never".to_owned(), significant);
    let interval = figure.interval_percent.map(|(low, high)| format!(" ({} … {})", signed(low), signed(high)));
    let shift = figure.shift_percent.map(|shift| format!("{}{}", signed(shift), interval.unwrap_or_default()));
    let change = match figure.change {
        Change::Better => "better",
        Change::Worse => "WORSE",
        Change::None => "noise",
        Change::TooFewRuns => "few runs",
        Change::Equal => "equal",
    };
    [
        format!("{}{unit}", figure.name),
        value(figure.median_a),
        value(figure.median_b),
        shift.unwrap_or_default(),
        format!("{:.3}", figure.adjusted_p),
        change.to_owned(),
    ]
}

/// One decimal, and no minus before a zero.
fn signed(percent: f64) -> String {
    format!("{:+.1}", (percent * 10.0).round() / 10.0 + 0.0)
}

/// Three significant digits, but all of the whole part.
fn significant(value: f64) -> String {
    let digits = match value.abs() {
        0.0 => 0,
        value if value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        value if value >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

fn power(family: &FamilySize, alpha: f64) -> String {
    let name = match family.family {
        Family::Key => "key figures",
        Family::Detail => "details",
    };
    let FamilySize { tested, smallest_p, runs_needed, .. } = family;
    if *smallest_p <= alpha {
        return format!("{name}: {tested} tested together; these runs can tell a change (smallest p {smallest_p:.4})");
    }
    format!(
        "{name}: {tested} tested together; TOO FEW RUNS to tell a change: even sides that do not overlap have p \
         {smallest_p:.4}, which is above {alpha}; {runs_needed} runs a side can tell one"
    )
}
