use super::metric::{MeasuredBy, Metric};

/// The text is not a requirement.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequirement {
    /// There is no comparison.
    #[error(
        "a requirement is METRIC [PERCENTILE] COMPARISON VALUE, such as 'ack p99 < 50ms'; the comparisons are <, <=, \
         >, >=, =, == and !="
    )]
    Comparison,
    /// The metric is unknown.
    #[error("there is no metric '{name}'; the metrics are {}", names(*listed))]
    Metric {
        /// What was written.
        name: String,
        /// The metrics to choose from.
        listed: Listed,
    },
    /// The program does not measure this metric.
    #[error(
        "'{}' is measured by {} and not by {}, whose metrics are {}",
        metric.name(), by(*metric), program(*listed), names(*listed)
    )]
    NotMeasured {
        /// The metric.
        metric: Metric,
        /// The metrics of the program.
        listed: Listed,
    },
    /// A latency without a percentile.
    #[error("'{0}' is a latency and needs a percentile, such as p50, p99, p99.9 or max: '{0} p99 < 50ms'")]
    PercentileMissing(&'static str),
    /// The text between metric and comparison is no percentile.
    #[error("'{0}' is no percentile: write p50, p99, p99.9 or max")]
    Percentile(String),
    /// A percentile of a metric that has one value.
    #[error("'{metric}' has one value and no percentile: remove '{percentile}'")]
    PercentileUnexpected {
        /// The metric.
        metric: &'static str,
        /// What was written.
        percentile: String,
    },
    /// The value does not have the unit of the metric.
    #[error("'{value}' is no value of '{metric}': write {expected}")]
    Value {
        /// The metric.
        metric: &'static str,
        /// What was written.
        value: String,
        /// What it has to be.
        expected: &'static str,
    },
    /// A duration, share or rate is compared by =, == or !=.
    #[error("'{0}' is not a count, so =, == and != can't be used: use <, <=, > or >=")]
    Equality(&'static str),
}

/// The metrics that an error lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// Those that the producer measures.
    Producer,
    /// Those that `loadtest pipeline` measures, the producer's among them.
    Pipeline,
    /// All of them: those of `loadtest run`.
    All,
}

impl Listed {
    /// Whether a metric is one of them.
    pub(super) fn has(self, metric: Metric) -> bool {
        match (self, metric.measured_by()) {
            (Self::All, _) | (_, MeasuredBy::Producer) | (Self::Pipeline, MeasuredBy::Pipeline) => true,
            (Self::Producer | Self::Pipeline, _) => false,
        }
    }
}

fn by(metric: Metric) -> &'static str {
    match metric.measured_by() {
        MeasuredBy::Producer => "the producer",
        MeasuredBy::Pipeline => "`loadtest pipeline`",
        MeasuredBy::ScenarioRun => "`loadtest run`",
    }
}

fn program(listed: Listed) -> &'static str {
    match listed {
        Listed::Producer => "the producer",
        Listed::Pipeline => "`loadtest pipeline`",
        Listed::All => "`loadtest run`",
    }
}

fn names(listed: Listed) -> String {
    Metric::ALL.into_iter().filter(|metric| listed.has(*metric)).map(Metric::name).collect::<Vec<_>>().join(", ")
}
