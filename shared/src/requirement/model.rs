use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    metric::{Kind, MeasuredBy, Metric},
    percentile::Percentile,
};

/// A requirement on a figure of a run: `METRIC [PERCENTILE] COMPARISON VALUE`, such as `ack p99 < 50ms`.
#[derive(Clone, Debug, PartialEq)]
pub struct Requirement {
    pub(super) text: String,
    pub(super) metric: Metric,
    pub(super) percentile: Option<Percentile>,
    pub(super) comparison: Comparison,
    /// Milliseconds, percent, orders per second or a count, as the metric.
    pub(super) limit: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Less,
    AtMost,
    Greater,
    AtLeast,
    Equal,
    NotEqual,
}

/// What was measured, and whether the requirement is met.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RequirementResult {
    /// The requirement, as written.
    pub requirement: String,
    /// The value that was measured; `None` when there is none, such as the latency of no order. Then the requirement is
    /// not met.
    pub measured: Option<f64>,
    /// Unit of `measured`: `ms`, `%`, `/s` or empty for a count.
    pub unit: String,
    /// Whether the requirement is met.
    pub met: bool,
}

impl Requirement {
    /// The metric.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// Which program measures its metric.
    pub fn measured_by(&self) -> MeasuredBy {
        self.metric.measured_by()
    }

    /// The percentile of a latency; `None` for any other metric.
    pub fn percentile(&self) -> Option<Percentile> {
        self.percentile
    }

    /// The value of the comparison, in the unit of the metric: milliseconds, percent, per second or a count.
    pub fn limit(&self) -> f64 {
        self.limit
    }

    /// Compares with the measured value, in the unit of the metric: milliseconds, percent, per second or a count.
    pub fn check(&self, measured: Option<f64>) -> RequirementResult {
        let met = measured.is_some_and(|measured| match self.comparison {
            Comparison::Less => measured < self.limit,
            Comparison::AtMost => measured <= self.limit,
            Comparison::Greater => measured > self.limit,
            Comparison::AtLeast => measured >= self.limit,
            Comparison::Equal => measured == self.limit,
            Comparison::NotEqual => measured != self.limit,
        });
        let unit = match self.metric.kind() {
            Kind::Latency | Kind::Duration => "ms",
            Kind::Share => "%",
            Kind::Rate => "/s",
            Kind::Count => "",
        };
        RequirementResult { requirement: self.text.clone(), measured, unit: unit.to_owned(), met }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl RequirementResult {
    /// The measured value with its unit.
    pub fn measured_text(&self) -> String {
        match self.measured {
            None => "not measured".to_owned(),
            Some(count) if self.unit.is_empty() => count.to_string(),
            Some(measured) => format!("{measured:.3} {}", self.unit),
        }
    }
}

impl Comparison {
    /// The comparison at the beginning of `text`, and what follows it. `=` is `==`.
    pub(super) fn split(text: &str) -> Option<(Self, &str)> {
        let comparisons = [
            ("<=", Self::AtMost),
            (">=", Self::AtLeast),
            ("==", Self::Equal),
            ("=", Self::Equal),
            ("!=", Self::NotEqual),
            ("<", Self::Less),
            (">", Self::Greater),
        ];
        comparisons.into_iter().find_map(|(symbol, comparison)| Some((comparison, text.strip_prefix(symbol)?)))
    }
}
