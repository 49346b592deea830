use std::{fmt, str::FromStr};

/// A percentile of a latency, above 0 and at most 100: `p50`, `p99.9`, or `max` for the largest one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percentile(f64);

impl Percentile {
    /// As a quantile, above 0 and at most 1.
    pub fn quantile(self) -> f64 {
        // 99.9 / 100.0 is above 0.999, and the percentile of 1,000 orders would be the next one.
        (self.0 * 1e9).round() / 1e11
    }
}

/// The text is not a percentile.
#[derive(Debug)]
pub struct InvalidPercentile;

impl FromStr for Percentile {
    type Err = InvalidPercentile;

    fn from_str(text: &str) -> Result<Self, InvalidPercentile> {
        if text == "max" {
            return Ok(Self(100.0));
        }
        let is_plain = |number: &&str| number.chars().all(|c| c.is_ascii_digit() || c == '.');
        let percentile = text.strip_prefix('p').filter(is_plain).and_then(|number| number.parse::<f64>().ok());
        percentile.filter(|percentile| *percentile > 0.0 && *percentile <= 100.0).map(Self).ok_or(InvalidPercentile)
    }
}

impl fmt::Display for Percentile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 100.0 { f.write_str("max") } else { write!(f, "p{}", self.0) }
    }
}
