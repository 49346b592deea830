//! A rate that changes linearly, in exact integer arithmetic.

/// Linearly from one rate to another. Rates are in millionths of an order per second, times in nanoseconds after the
/// start of the ramp.
#[derive(Clone, Copy, Debug)]
pub struct Ramp {
    from: u128,
    to: u128,
    length: u128,
}

impl Ramp {
    /// A ramp of `length`, above 0, with one rate above 0 at least. `None` when its work overflows the arithmetic, as
    /// with 17 hours to 100,000 per second.
    pub fn new(from: u64, to: u64, length: u64) -> Option<Self> {
        let (from, to, length) = (u128::from(from), u128::from(to), u128::from(length));
        length.checked_mul(length)?.checked_mul(from.max(to))?.checked_mul(2)?;
        Some(Self { from, to, length })
    }

    /// Work due by `elapsed`, at most the length of the ramp: rate times time, rounded down.
    pub fn work(self, elapsed: u128) -> u128 {
        self.double_work(elapsed) / (2 * self.length)
    }

    /// The work times twice the length, which is a whole number.
    fn double_work(self, elapsed: u128) -> u128 {
        self.from * elapsed * (2 * self.length - elapsed) + self.to * elapsed * elapsed
    }

    /// The first nanosecond at which `work` is due, at most the length of the ramp.
    pub fn elapsed(self, work: u128) -> u128 {
        let needed = 2 * self.length * work;
        let reaches = |elapsed: u128| self.double_work(elapsed) >= needed;
        // The rounding of the estimate decides how many steps are needed, never the result.
        let mut high = self.estimate(work).min(self.length);
        let mut step = 1;
        while high < self.length && !reaches(high) {
            high = (high + step).min(self.length);
            step *= 2;
        }
        let mut low = high;
        step = 1;
        while low > 0 && reaches(low) {
            low = low.saturating_sub(step);
            step *= 2;
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if reaches(middle) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        high
    }

    fn estimate(self, work: u128) -> u128 {
        let (from, to, length, work) = (self.from as f64, self.to as f64, self.length as f64, work as f64);
        let root = (from * from + 2.0 * (to - from) * work / length).max(0.0).sqrt();
        // NaN, from 0 / 0 without any work, becomes 0.
        (2.0 * work / (from + root)) as u128
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Any ramp that is not too long.
    fn any_ramp() -> impl Strategy<Value = Ramp> {
        let rate = || prop_oneof![Just(0), 1..10u64, 1..10_000_000_000_000u64];
        let length = prop_oneof![1..100u64, 1..4_000_000_000_000u64];
        (rate(), rate(), length).prop_filter_map(
            "no rate",
            |(from, to, length)| {
                if from == to { None } else { Ramp::new(from, to, length) }
            },
        )
    }

    proptest! {
        #[test]
        fn work_is_due_at_the_first_nanosecond_that_has_it(ramp in any_ramp(), share in 0.0..=1.0f64) {
            let whole = ramp.work(ramp.length);
            let work = ((whole as f64 * share) as u128).min(whole);
            let due = ramp.elapsed(work);
            prop_assert!(due <= ramp.length && ramp.work(due) >= work);
            prop_assert!(due == 0 || ramp.work(due - 1) < work);
        }

        #[test]
        fn the_whole_ramp_has_its_mean_rate_and_work_never_decreases(ramp in any_ramp(), at in 0.0..1.0f64) {
            prop_assert_eq!(ramp.work(ramp.length), (ramp.from + ramp.to) * ramp.length / 2);
            let at = ((ramp.length as f64 * at) as u128).min(ramp.length - 1);
            prop_assert!(ramp.work(at) <= ramp.work(at + 1));
        }

        /// The work that is left of a ramp down is that of a ramp up. Both are rounded down.
        #[test]
        fn a_ramp_down_is_a_ramp_up_from_its_end(ramp in any_ramp(), share in 0.0..=1.0f64) {
            let up = Ramp { from: ramp.to, to: ramp.from, ..ramp };
            let elapsed = ((ramp.length as f64 * share) as u128).min(ramp.length);
            let both = ramp.double_work(elapsed) + up.double_work(ramp.length - elapsed);
            prop_assert_eq!(both, (ramp.from + ramp.to) * ramp.length * ramp.length);
        }
    }

    #[test]
    fn the_largest_ramps_do_not_overflow() {
        let (largest, length) = (10_000_000_000_000, 4_124_000_000_000);
        for (from, to) in [(0, largest), (largest, 0), (largest, largest - 1)] {
            let ramp = Ramp::new(from, to, length).unwrap();
            assert_eq!(ramp.elapsed(ramp.work(ramp.length)), ramp.length, "{from} to {to}");
        }
        assert!(Ramp::new(0, largest, 2 * length).is_none());
    }
}
