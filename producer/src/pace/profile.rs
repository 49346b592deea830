//! The number of orders due by each time, in exact integer arithmetic, so that no rounding error accumulates in a long
//! run.

use std::{str::FromStr, time::Duration};

use super::rate::Rate;

/// The work of one order: a rate in millionths of an order per second, times nanoseconds.
pub const WORK_PER_ORDER: u128 = 1_000_000 * 1_000_000_000;

/// One step of `--steps`: `500:30s` is 500 orders per second for 30 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub rate: Rate,
    pub length: Duration,
}

impl FromStr for Step {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (rate, length) = text.split_once(':').ok_or("a step is RATE:DURATION, such as 500:30s")?;
        let rate = rate.parse().map_err(|error: super::rate::InvalidRate| error.to_string())?;
        Ok(Self { rate, length: shared::program::positive_duration(length)? })
    }
}

#[derive(Clone, Copy, Debug)]
enum Shape {
    /// A constant rate in millionths of an order per second.
    Constant(u64),
    /// Linearly from 0 to the rate `to` in `length` nanoseconds.
    Ramp { to: u64, length: u64 },
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    /// Nanoseconds after the start of the run.
    start: u64,
    /// Work due at `start`.
    before: u128,
    shape: Shape,
}

/// The work due by each time, in units of [`WORK_PER_ORDER`]. The last segment has no end.
#[derive(Clone, Debug)]
pub struct Profile {
    segments: Vec<Segment>,
}

impl Profile {
    /// `rate` without end.
    pub fn constant(rate: Rate) -> Self {
        Self { segments: vec![Segment { start: 0, before: 0, shape: Shape::Constant(rate.millionths()) }] }
    }

    /// `rate` for `length`, then linearly from 0 to `rate` over `ramp`, then `rate` without end. Returns `None` when
    /// the ramp's work overflows the integer arithmetic, as with 17 hours to 100,000 per second.
    pub fn ramp(length: Duration, ramp: Duration, rate: Rate) -> Option<Self> {
        let square = u128::from(nanos(ramp)).checked_mul(u128::from(nanos(ramp)))?;
        square.checked_mul(u128::from(rate.millionths()))?.checked_mul(2)?;
        let mut profile = Self::constant(rate);
        if length.is_zero() {
            profile.segments.clear();
        }
        let ramping = Shape::Ramp { to: rate.millionths(), length: nanos(ramp) };
        profile.append(nanos(length), ramping);
        profile.append(nanos(length) + nanos(ramp), Shape::Constant(rate.millionths()));
        Some(profile)
    }

    /// The rate of the first step for `warm_up`, then each step. The rate of the last step has no end.
    ///
    /// # Panics
    /// When `steps` is empty.
    pub fn steps(warm_up: Duration, steps: &[Step]) -> Self {
        let mut profile = Self::constant(steps[0].rate);
        let mut start = nanos(warm_up);
        for step in steps {
            profile.append(start, Shape::Constant(step.rate.millionths()));
            start += nanos(step.length);
        }
        profile
    }

    fn append(&mut self, start: u64, shape: Shape) {
        let before = if self.segments.is_empty() { 0 } else { self.work(start) };
        self.segments.push(Segment { start, before, shape });
    }

    /// Work due by `time` (nanoseconds after the start).
    pub fn work(&self, time: u64) -> u128 {
        let at = self.segments.partition_point(|segment| segment.start <= time).max(1) - 1;
        let segment = &self.segments[at];
        let elapsed = u128::from(time - segment.start);
        segment.before
            + match segment.shape {
                Shape::Constant(rate) => u128::from(rate) * elapsed,
                Shape::Ramp { to, length } => u128::from(to) * elapsed * elapsed / (2 * u128::from(length)),
            }
    }

    /// The first nanosecond after the start at which `work` is due.
    pub fn time_of_work(&self, work: u128) -> u64 {
        // The first segment that reaches the work before the next segment starts.
        let reaches = |at: usize| self.segments.get(at + 1).is_none_or(|next| next.before >= work);
        let at = (0..self.segments.len()).find(|at| reaches(*at)).unwrap_or(0);
        let segment = &self.segments[at];
        let missing = work.saturating_sub(segment.before);
        let elapsed = match segment.shape {
            Shape::Constant(rate) => missing.div_ceil(u128::from(rate)),
            Shape::Ramp { to, length } => {
                let square = (2 * u128::from(length) * missing).div_ceil(u128::from(to));
                let root = square.isqrt();
                if root * root < square { root + 1 } else { root }
            }
        };
        segment.start.saturating_add(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
pub mod tests {
    use proptest::prelude::*;

    use super::*;

    pub fn rate(per_second: f64) -> Rate {
        per_second.to_string().parse().unwrap()
    }

    prop_compose! {
        /// A profile of any of the three kinds.
        pub fn any_profile()(
            kind in 0..3,
            rates in prop::collection::vec(0.1..5_000.0f64, 1..4),
            millis in prop::collection::vec(1..20_000u64, 4),
        ) -> Profile {
            let length = |at: usize| Duration::from_millis(millis[at]);
            match kind {
                0 => Profile::constant(rate(rates[0])),
                1 => Profile::ramp(length(0), length(1), rate(rates[0])).unwrap(),
                _ => {
                    let steps: Vec<Step> =
                        rates.iter().enumerate().map(|(at, r)| Step { rate: rate(*r), length: length(at) }).collect();
                    Profile::steps(length(3), &steps)
                }
            }
        }
    }

    proptest! {
        #[test]
        fn work_is_due_at_the_first_nanosecond_that_has_it(profile in any_profile(), n in 0..50_000u128) {
            let due = profile.time_of_work(n * WORK_PER_ORDER);
            prop_assert!(profile.work(due) >= n * WORK_PER_ORDER);
            prop_assert!(due == 0 || profile.work(due - 1) < n * WORK_PER_ORDER);
        }
    }

    #[test]
    fn a_thousand_per_second_is_one_per_millisecond_also_after_a_year() {
        let profile = Profile::constant(rate(1_000.0));
        let year = 365 * 24 * 3_600 * 1_000;
        for n in [0, 1, 2, 3, year, year + 1] {
            assert_eq!(u128::from(profile.time_of_work(n * WORK_PER_ORDER)), n * 1_000_000);
        }
    }

    #[test]
    fn a_ramp_sends_half_of_what_its_rate_would() {
        let ramp = |seconds, to| Profile::ramp(Duration::ZERO, Duration::from_secs(seconds), rate(to));
        assert!(ramp(17 * 3_600, 100_000.0).is_none() && ramp(3_600, 100_000.0).is_some());
        let profile = ramp(30, 1_000.0).unwrap();
        assert_eq!(profile.work(30_000_000_000) / WORK_PER_ORDER, 15_000);
        assert_eq!(profile.work(31_000_000_000) / WORK_PER_ORDER, 16_000);
    }

    #[test]
    fn steps_have_exactly_their_orders() {
        let step = |text: &str| text.parse::<Step>().unwrap();
        let profile = Profile::steps(Duration::ZERO, &[step("500:30s"), step("1000:30s"), step("2000:30s")]);
        assert_eq!(profile.work(90_000_000_000) / WORK_PER_ORDER, 15_000 + 30_000 + 60_000);
        for wrong in ["500", "500:", ":30s", "0:30s", "500:0s"] {
            assert!(wrong.parse::<Step>().is_err(), "{wrong}");
        }
    }
}
