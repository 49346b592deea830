use std::str::FromStr;

use super::{
    error::{InvalidRequirement, Listed},
    metric::{Kind, Metric},
    model::{Comparison, Requirement},
    percentile::Percentile,
};

impl Requirement {
    /// Parses a requirement on a figure that the producer measures.
    ///
    /// # Errors
    /// When the text is no requirement, or the producer does not measure its metric.
    pub fn of_producer(text: &str) -> Result<Self, InvalidRequirement> {
        Self::parse(text, Listed::Producer)
    }

    /// Parses a requirement on a figure that `loadtest pipeline` measures, itself or by its producer.
    ///
    /// # Errors
    /// When the text is no requirement, or only `loadtest run` measures its metric.
    pub fn of_pipeline(text: &str) -> Result<Self, InvalidRequirement> {
        Self::parse(text, Listed::Pipeline)
    }

    fn parse(text: &str, listed: Listed) -> Result<Self, InvalidRequirement> {
        let text = text.trim();
        let at = text.find(['<', '>', '=', '!']).ok_or(InvalidRequirement::Comparison)?;
        let (figure, rest) = text.split_at(at);
        let (comparison, value) = Comparison::split(rest).ok_or(InvalidRequirement::Comparison)?;
        let (metric, percentile) = parse_figure(figure, listed)?;
        let is_equality = matches!(comparison, Comparison::Equal | Comparison::NotEqual);
        if is_equality && metric.kind() != Kind::Count {
            return Err(InvalidRequirement::Equality(metric.name()));
        }
        let limit = parse_value(metric, value.trim())?;
        if !listed.has(metric) {
            return Err(InvalidRequirement::NotMeasured { metric, listed });
        }
        Ok(Self { text: text.to_owned(), metric, percentile, comparison, limit })
    }
}

impl FromStr for Requirement {
    type Err = InvalidRequirement;

    /// Parses a requirement on any metric.
    fn from_str(text: &str) -> Result<Self, InvalidRequirement> {
        Self::parse(text, Listed::All)
    }
}

/// Parses `METRIC [PERCENTILE]`.
fn parse_figure(figure: &str, listed: Listed) -> Result<(Metric, Option<Percentile>), InvalidRequirement> {
    let figure = &figure.split_whitespace().collect::<Vec<_>>().join(" ");
    let (name, last) = match Metric::of_name(figure) {
        Some(_) => (figure.as_str(), None),
        None => figure.rsplit_once(' ').map_or((figure.as_str(), None), |(name, last)| (name, Some(last))),
    };
    let unknown = || InvalidRequirement::Metric { name: name.to_owned(), listed };
    let metric = Metric::of_name(name).ok_or_else(unknown)?;
    let percentile = match (metric.kind(), last) {
        (Kind::Latency, None) => return Err(InvalidRequirement::PercentileMissing(metric.name())),
        (Kind::Latency, Some(last)) => Some(last.parse().map_err(|_| InvalidRequirement::Percentile(last.to_owned()))?),
        (_, None) => None,
        (_, Some(last)) => {
            let percentile = last.to_owned();
            return Err(InvalidRequirement::PercentileUnexpected { metric: metric.name(), percentile });
        }
    };
    Ok((metric, percentile))
}

fn parse_value(metric: Metric, value: &str) -> Result<f64, InvalidRequirement> {
    let (parsed, expected) = match metric.kind() {
        Kind::Latency | Kind::Duration => (milliseconds(value), "a duration with its unit, such as 50ms, 0.5ms or 2s"),
        Kind::Share => (value.strip_suffix('%').and_then(number), "percent, such as 0.1%"),
        Kind::Rate => (per_second(value), "orders per second, such as 990 or 10k/s"),
        Kind::Count => (value.parse::<u32>().ok().map(f64::from), "a whole number"),
    };
    parsed.ok_or_else(|| InvalidRequirement::Value { metric: metric.name(), value: value.to_owned(), expected })
}

/// A number from 0, with an optional fraction and without a sign or an exponent.
fn number(text: &str) -> Option<f64> {
    let text = text.trim_end();
    text.chars().all(|c| c.is_ascii_digit() || c == '.').then(|| text.parse().ok()).flatten()
}

fn milliseconds(text: &str) -> Option<f64> {
    let units = [("us", 0.001), ("µs", 0.001), ("ms", 1.0), ("s", 1e3), ("m", 6e4), ("h", 3.6e6)];
    let (unit, factor) = units.into_iter().find(|(unit, _)| text.ends_with(unit))?;
    number(text.strip_suffix(unit)?).map(|number| number * factor)
}

fn per_second(text: &str) -> Option<f64> {
    let text = text.strip_suffix("/s").unwrap_or(text).trim_end();
    let units = [("k", 1e3), ("M", 1e6), ("", 1.0)];
    let (unit, factor) = units.into_iter().find(|(unit, _)| text.ends_with(unit))?;
    number(text.strip_suffix(unit)?).map(|number| number * factor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn met(text: &str, measured: f64) -> bool {
        text.parse::<Requirement>().unwrap_or_else(|error| panic!("{text}: {error}")).check(Some(measured)).met
    }

    #[test]
    fn a_percentile_is_that_of_the_summary() {
        let mut latencies = crate::latency::Latencies::default();
        (1..=1_000).for_each(|milliseconds| latencies.record_nanos(milliseconds * 1_000_000));
        let summary = latencies.summary();
        for (text, expected) in [
            ("ack p50 < 1s", summary.p50),
            ("ack p90 < 1s", summary.p90),
            ("ack p99 < 1s", summary.p99),
            ("ack p99.9 < 1s", summary.p999),
            ("ack max < 1s", summary.max),
        ] {
            let percentile = text.parse::<Requirement>().unwrap().percentile().unwrap();
            assert_eq!(latencies.at_quantile(percentile.quantile()), Some(expected), "{text}");
        }
    }

    fn error(text: &str) -> String {
        text.parse::<Requirement>().expect_err(text).to_string()
    }

    #[test]
    fn a_requirement_is_met_on_the_right_side_of_its_limit_only() {
        for (text, just_met, just_missed) in [
            ("ack p99 < 50ms", 49.999, 50.0),
            ("ack p99 <= 50ms", 50.0, 50.001),
            ("stall < 2s", 1_999.9, 2_000.0),
            ("tail <= 1m", 60_000.0, 60_000.1),
            ("sent p99.9 < 500us", 0.499, 0.5),
            ("stored max < 0.5s", 499.0, 500.0),
            ("rate error < 0.1%", 0.099, 0.1),
            ("rate >= 99k/s", 99_000.0, 98_999.9),
            ("rate > 990", 990.1, 990.0),
            ("missing == 0", 0.0, 1.0),
            ("missing = 0", 0.0, 1.0),
            ("dead letters=7", 7.0, 6.0),
            ("skipped<=10", 10.0, 11.0),
            ("duplicates != 0", 1.0, 0.0),
        ] {
            assert!(met(text, just_met) && !met(text, just_missed), "{text}");
        }
    }

    #[test]
    fn what_was_not_measured_meets_no_requirement() {
        for text in ["ack p99 < 50ms", "ack p99 > 50ms", "skipped != 1"] {
            let result = text.parse::<Requirement>().unwrap().check(None);
            assert_eq!((result.met, result.measured_text().as_str()), (false, "not measured"), "{text}");
        }
        assert!(!met("ack p99 < 50ms", f64::NAN), "no comparison with NaN holds");
    }

    #[test]
    fn the_result_has_the_requirement_as_written_and_the_measured_value_with_its_unit() {
        let result = " ack  p99<50ms ".parse::<Requirement>().unwrap().check(Some(61.2349));
        assert_eq!((result.requirement.as_str(), result.measured_text().as_str()), ("ack  p99<50ms", "61.235 ms"));
        let result = "dead-letters == 0".parse::<Requirement>().unwrap().check(Some(3.0));
        assert_eq!(result.measured_text(), "3");
        let json = serde_json::to_value(&result).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "requirement": "dead-letters == 0", "measured": 3.0, "unit": "", "met": false
            })
        );
    }

    #[test]
    fn an_error_says_what_is_wrong() {
        for (text, expected) in [
            ("", "METRIC [PERCENTILE] COMPARISON VALUE"),
            ("ack p99", "the comparisons are <, <="),
            ("ack p99 = 50ms", "'ack' is not a count, so =, == and != can't be used"),
            ("missing =! 0", "'! 0' is no value of 'missing'"),
            ("missing === 0", "'= 0' is no value of 'missing'"),
            (
                "latency p99 < 50ms",
                "there is no metric 'latency'; the metrics are sent, ack, round_trip, stored, stall",
            ),
            ("< 50ms", "there is no metric ''"),
            ("ack < 50ms", "needs a percentile, such as p50"),
            ("ack p0 < 50ms", "'p0' is no percentile"),
            ("ack p101 < 50ms", "'p101' is no percentile"),
            ("ack pinf < 50ms", "'pinf' is no percentile"),
            ("stall p99 < 2s", "'stall' has one value and no percentile: remove 'p99'"),
            ("ack p99 < 50", "'50' is no value of 'ack': write a duration with its unit"),
            ("ack p99 < -50ms", "'-50ms' is no value"),
            ("ack p99 < 1e3ms", "'1e3ms' is no value"),
            ("ack p99 < ms", "'ms' is no value"),
            ("ack p99 < 5 0ms", "'5 0ms' is no value"),
            ("ack p99 << 50ms", "'< 50ms' is no value"),
            ("ack p99 < NaNms", "'NaNms' is no value"),
            ("rate_error < 1", "write percent, such as 0.1%"),
            ("skipped < 1%", "write a whole number"),
            ("missing == 0.5", "write a whole number"),
            ("rate > fast", "write orders per second"),
            ("stall == 2s", "'stall' is not a count"),
        ] {
            assert!(error(text).contains(expected), "{text}: {}", error(text));
        }
    }

    #[test]
    fn the_producer_takes_only_what_it_measures_and_lists_that() {
        assert!(Requirement::of_producer("ack p99 < 50ms").is_ok());
        let error = Requirement::of_producer("stored p99 < 50ms").unwrap_err().to_string();
        assert!(error.contains("measured by `loadtest pipeline`") && error.contains("rate_error"), "{error}");
        let error = Requirement::of_producer("recovery < 5s").unwrap_err().to_string();
        assert!(
            error.contains("measured by `loadtest run` and not by the producer, whose metrics are sent"),
            "{error}"
        );
        let error = Requirement::of_producer("acks p99 < 50ms").unwrap_err().to_string();
        assert!(error.contains("no metric 'acks'") && !error.contains("missing"), "{error}");
    }

    #[test]
    fn a_pipeline_takes_all_but_what_needs_the_samples_of_a_run() {
        for text in ["ack p99 < 50ms", "stored p99 < 50ms", "missing = 0"] {
            assert!(Requirement::of_pipeline(text).is_ok(), "{text}");
        }
        for (text, metric) in [("lag < 5000", "lag"), ("recovery <= 10s", "recovery")] {
            assert!(text.parse::<Requirement>().is_ok(), "{text}");
            let error = Requirement::of_pipeline(text).unwrap_err().to_string();
            let expected =
                format!("'{metric}' is measured by `loadtest run` and not by `loadtest pipeline`, whose metrics");
            assert!(error.starts_with(&expected) && error.ends_with("dead_letters"), "{error}");
        }
        assert!(met("recovery <= 10s", 10_000.0) && !met("lag < 5000", 5_000.0));
    }

    proptest! {
        #[test]
        fn every_metric_is_parsed_with_any_spaces_and_separators(
            index in 0..Metric::ALL.len(),
            percentile in 1..100_000u32,
            limit in 0..1_000_000u32,
            spaces in prop::collection::vec(0..3usize, 4),
            separator in prop::sample::select(vec!["_", "-", " "]),
        ) {
            let metric = Metric::ALL[index];
            let space = |at: usize| " ".repeat(spaces[at]);
            let (figure, unit) = match metric.kind() {
                Kind::Latency => (format!(" {}p{}", space(0), f64::from(percentile) / 1_000.0), "ms"),
                Kind::Duration => (String::new(), "ms"),
                Kind::Share => (String::new(), "%"),
                Kind::Rate => (String::new(), "/s"),
                Kind::Count => (String::new(), ""),
            };
            let name = metric.name().replace('_', separator);
            let text = format!("{}{name}{figure}{}<={}{limit}{unit}", space(1), space(2), space(3));
            let requirement: Requirement = text.parse().unwrap();
            prop_assert_eq!(requirement.metric(), metric);
            let expected = (metric.kind() == Kind::Latency).then(|| f64::from(percentile) / 100_000.0);
            let found = requirement.percentile().map(Percentile::quantile);
            prop_assert_eq!(found.is_some(), expected.is_some());
            prop_assert!((found.unwrap_or(0.0) - expected.unwrap_or(0.0)).abs() < 1e-12, "{} in {}", percentile, text);
            prop_assert!(requirement.check(Some(f64::from(limit))).met);
            prop_assert!(!requirement.check(Some(f64::from(limit) + 0.001)).met);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,40}") {
            let _ = text.parse::<Requirement>();
        }

        #[test]
        fn a_text_of_the_words_of_a_requirement_does_not_panic_either(
            words in prop::collection::vec(
                prop::sample::select(vec!["ack", "rate", "error", "p", "p99", "<", "=", "5", "µs", "ms", "%", " "]),
                0..8,
            ),
        ) {
            let _ = words.concat().parse::<Requirement>();
        }
    }
}
