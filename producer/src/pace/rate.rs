//! A rate in orders per second.

use std::{fmt, str::FromStr};

/// Orders per second, 0.000001 to 10,000,000, stored in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    millionths: u64,
}

/// The text is not a rate.
#[derive(Debug, thiserror::Error)]
#[error("a rate is a number of orders a second from 0.000001 to 10000000, such as 1000 or 0.5")]
pub struct InvalidRate;

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        let rate: f64 = text.parse().map_err(|_| InvalidRate)?;
        // NaN is outside of every range.
        if (1e-6..=1e7).contains(&rate) {
            Ok(Self { millionths: (rate * 1e6).round() as u64 })
        } else {
            Err(InvalidRate)
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.per_second().fmt(f)
    }
}

impl Rate {
    pub fn per_second(self) -> f64 {
        self.millionths as f64 / 1e6
    }

    /// Orders per million seconds.
    pub fn millionths(self) -> u64 {
        self.millionths
    }
}

/// The value of `--rate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetRate {
    Fixed(Rate),
    /// `max`: no schedule, as fast as the brokers acknowledge.
    Max,
}

impl FromStr for TargetRate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        if text == "max" { Ok(Self::Max) } else { text.parse().map(Self::Fixed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_positive_number() {
        for text in ["0", "-1", "abc", "", "NaN", "inf", "1e-7", "1e12"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
        assert_eq!("0.5".parse::<Rate>().unwrap().millionths(), 500_000);
        assert_eq!("1000".parse::<Rate>().unwrap().to_string(), "1000");
    }
}
