//! The schedule: which order is due when. Exact integer arithmetic, no clock of its own (invariant 2).

use std::{fmt, str::FromStr, time::Duration};

const MICRO: u128 = 1_000_000;
const NANOS_A_SECOND: u128 = 1_000_000_000;

/// Orders a second, kept in millionths: 0.000001 to 10,000,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    millionths: u64,
}

/// The text is no rate.
#[derive(Debug, thiserror::Error)]
#[error("a rate is a number of orders a second from 0.000001 to 10000000, such as 1000 or 0.5")]
pub struct InvalidRate;

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        let rate: f64 = text.parse().map_err(|_| InvalidRate)?;
        // Not a number is in no range.
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
    /// Orders a second.
    pub fn per_second(self) -> f64 {
        self.millionths as f64 / 1e6
    }

    /// When order `n`, counted from 0, is due, in nanoseconds after the start: n / rate, rounded down.
    pub fn due_nanos(self, n: u64) -> u64 {
        u64::try_from(u128::from(n) * NANOS_A_SECOND * MICRO / u128::from(self.millionths)).unwrap_or(u64::MAX)
    }

    /// Number of orders due before `duration` is over: those with n / rate < duration.
    pub fn orders_within(self, duration: Duration) -> u64 {
        let orders = (duration.as_nanos() * u128::from(self.millionths)).div_ceil(NANOS_A_SECOND * MICRO);
        u64::try_from(orders).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_thousand_a_second_is_one_each_millisecond() {
        let rate: Rate = "1000".parse().unwrap();
        assert_eq!((0..4).map(|n| rate.due_nanos(n)).collect::<Vec<_>>(), [0, 1_000_000, 2_000_000, 3_000_000]);
    }

    proptest! {
        #[test]
        fn no_rounding_adds_up(millionths in 1..10_000_000_000_000u64, n in 0..1u64 << 38) {
            let rate = Rate { millionths };
            let exact = n as f64 * 1e15 / millionths as f64;
            prop_assert!((rate.due_nanos(n) as f64 - exact).abs() <= 1.0 + exact * 1e-15 || rate.due_nanos(n) == u64::MAX);
        }

        #[test]
        fn the_orders_within_a_duration_are_those_due_before_its_end(millionths in 1_000_000..1_000_000_000_000u64, millis in 1..100_000u64) {
            let (rate, duration) = (Rate { millionths }, Duration::from_millis(millis));
            let orders = rate.orders_within(duration);
            let nanos = duration.as_nanos() as u64;
            prop_assert!(rate.due_nanos(orders - 1) < nanos);
            // Rounded down, a due time may fall a nanosecond before the end that it exactly meets or passes.
            prop_assert!(rate.due_nanos(orders) + 1 >= nanos);
        }
    }
}
