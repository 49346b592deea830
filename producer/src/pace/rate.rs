//! A rate in orders per second.

use std::{fmt, str::FromStr};

/// Orders per second, 0.000001 to 10,000,000, stored in millionths. Written as a number, with `k` for thousands or `M`
/// for millions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    millionths: u64,
}

/// The text is not a rate.
#[derive(Debug, thiserror::Error)]
#[error("a rate is a number of orders per second from 0.000001 to 10000000, such as 0.5, 1000, 10k or 2.5M")]
pub struct InvalidRate;

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        let (number, unit) = match text.strip_suffix('k') {
            Some(thousands) => (thousands, 1e3),
            None => text.strip_suffix('M').map_or((text, 1.0), |millions| (millions, 1e6)),
        };
        let rate = number.parse::<f64>().map_err(|_| InvalidRate)? * unit;
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

    #[test]
    fn a_rate_may_be_in_thousands_or_millions() {
        for (text, per_second) in [("1k", 1e3), ("1.5k", 1_500.0), ("0.0005k", 0.5), ("2.5M", 2.5e6), ("10M", 1e7)] {
            assert_eq!(text.parse::<Rate>().unwrap().per_second(), per_second, "{text}");
        }
        for text in ["k", "M", "0k", "-1k", "1 k", "1K", "1m", "1kk", "1kM", "NaNk", "infM", "10.1M", "0.0000000001k"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
        assert_eq!("2k".parse::<TargetRate>().unwrap(), TargetRate::Fixed("2000".parse().unwrap()));
    }
}
