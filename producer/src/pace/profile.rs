//! The number of orders due by each time, in exact integer arithmetic, so that no rounding error accumulates in a long
//! run.

use std::time::Duration;

use super::{
    arrival::Arrival,
    ramp::Ramp,
    rate::Rate,
    step::{Step, StepRate},
};

/// The work of one order: a rate in millionths of an order per second, times nanoseconds.
pub const WORK_PER_ORDER: u128 = 1_000_000 * 1_000_000_000;

#[derive(Clone, Copy, Debug)]
enum Shape {
    /// A constant rate in millionths of an order per second, above 0.
    Constant(u64),
    Ramp(Ramp),
    /// A rate of 0: nothing becomes due.
    Pause,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    /// Nanoseconds after the start of the run.
    start: u64,
    /// Work due at `start`.
    before: u128,
    shape: Shape,
    /// `None`: that of the whole schedule.
    arrival: Option<Arrival>,
}

/// The work due by each time, in units of [`WORK_PER_ORDER`]. The last segment has no end. Evenly spaced orders are due
/// at the whole numbers of the work of an order, at the first nanosecond that has it and is not in a pause.
#[derive(Clone, Debug)]
pub struct Profile {
    segments: Vec<Segment>,
}

/// The profile is too long: its work or its end overflows the integer arithmetic, as with a ramp of 17 hours to 100,000
/// per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl Profile {
    /// `rate` without end.
    pub fn constant(rate: Rate) -> Self {
        let shape = Shape::Constant(rate.millionths());
        Self { segments: vec![Segment { start: 0, before: 0, shape, arrival: None }] }
    }

    /// `rate` for `length`, then linearly from 0 to `rate` over `ramp`, then `rate` without end.
    ///
    /// # Errors
    /// When the ramp is too long.
    pub fn ramp(length: Duration, ramp: Duration, rate: Rate) -> Result<Self, TooLong> {
        Self::of(&[Step::constant(rate, length), Step::ramp_up(rate, ramp)])
    }

    /// The rate at which the first step begins for `warm_up`, then each step. The rate at the end of the last step has
    /// no end.
    ///
    /// # Errors
    /// When the steps are too long.
    pub fn steps(warm_up: Duration, steps: &[Step]) -> Result<Self, TooLong> {
        let first = steps.first().map(|first| Step { to: first.from, length: warm_up, ..*first });
        Self::of(&first.into_iter().chain(steps.iter().copied()).collect::<Vec<_>>())
    }

    /// Each step, without those of no length, and then the last rate.
    fn of(steps: &[Step]) -> Result<Self, TooLong> {
        let mut profile = Self { segments: Vec::with_capacity(steps.len() + 1) };
        let mut start = 0;
        for step in steps.iter().filter(|step| !step.length.is_zero()) {
            let length = u64::try_from(step.length.as_nanos()).map_err(|_| TooLong)?;
            let shape = if step.from == step.to { constant(step.to) } else { ramp(step, length)? };
            profile.append(start, shape, step.arrival);
            start = start.checked_add(length).ok_or(TooLong)?;
        }
        if let Some(last) = steps.last() {
            profile.append(start, constant(last.to), last.arrival);
        }
        Ok(profile)
    }

    fn append(&mut self, start: u64, shape: Shape, arrival: Option<Arrival>) {
        let before = if self.segments.is_empty() { 0 } else { self.work(start) };
        self.segments.push(Segment { start, before, shape, arrival });
    }

    /// Work due by `time` (nanoseconds after the start).
    pub fn work(&self, time: u64) -> u128 {
        let segment = &self.segments[self.segment_at(time)];
        let elapsed = u128::from(time - segment.start);
        segment.before
            + match segment.shape {
                Shape::Constant(rate) => u128::from(rate) * elapsed,
                Shape::Ramp(ramp) => ramp.work(elapsed),
                Shape::Pause => 0,
            }
    }

    /// The first nanosecond after the start at which `work` is due, and that is not in a pause. `u64::MAX` when there
    /// is none.
    pub fn time_of_work(&self, work: u128) -> u64 {
        // The first segment that reaches the work before the next segment starts.
        let at = self.segments[1..].partition_point(|next| next.before < work);
        let segment = &self.segments[at];
        let missing = work.saturating_sub(segment.before);
        let elapsed = match segment.shape {
            Shape::Constant(rate) => missing.div_ceil(u128::from(rate)),
            Shape::Ramp(ramp) => ramp.elapsed(missing),
            Shape::Pause if missing == 0 => 0,
            Shape::Pause => u128::from(u64::MAX),
        };
        let time = segment.start.saturating_add(u64::try_from(elapsed).unwrap_or(u64::MAX));
        self.after_pauses(at, time)
    }

    /// `time`, or the end of the pause that it is in. `time` is not before segment `at`.
    fn after_pauses(&self, at: usize, mut time: u64) -> u64 {
        for (at, segment) in self.segments.iter().enumerate().skip(at) {
            if segment.start > time {
                break;
            }
            if matches!(segment.shape, Shape::Pause) {
                time = time.max(self.segments.get(at + 1).map_or(u64::MAX, |next| next.start));
            }
        }
        time
    }

    /// Number of evenly spaced orders that are due before `time` (nanoseconds after the start).
    pub fn orders_before(&self, time: u64) -> u64 {
        let Some(last) = time.checked_sub(1) else { return 0 };
        let segment = &self.segments[self.segment_at(last)];
        if matches!(segment.shape, Shape::Pause) {
            // What is reached at its beginning is due after it.
            return self.orders_before(segment.start);
        }
        u64::try_from(self.work(last) / WORK_PER_ORDER).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// The beginnings of the spans of time with one arrival, ascending, from 0 on; `default` is that of a step without
    /// one.
    pub fn arrivals(&self, default: Arrival) -> Vec<(u64, Arrival)> {
        let mut spans: Vec<_> =
            self.segments.iter().map(|segment| (segment.start, segment.arrival.unwrap_or(default))).collect();
        spans.dedup_by_key(|(_, arrival)| *arrival);
        spans
    }

    fn segment_at(&self, time: u64) -> usize {
        self.segments.partition_point(|segment| segment.start <= time).max(1) - 1
    }
}

fn constant(rate: StepRate) -> Shape {
    match rate.millionths() {
        0 => Shape::Pause,
        millionths => Shape::Constant(millionths),
    }
}

fn ramp(step: &Step, length: u64) -> Result<Shape, TooLong> {
    Ramp::new(step.from.millionths(), step.to.millionths(), length).map(Shape::Ramp).ok_or(TooLong)
}

#[cfg(test)]
pub mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pace::Phase;

    pub fn rate(per_second: f64) -> Rate {
        per_second.to_string().parse().unwrap()
    }

    pub fn steps(text: &str) -> Vec<Step> {
        text.split(',').map(|step| step.parse().unwrap()).collect()
    }

    fn step_rate() -> impl Strategy<Value = StepRate> {
        prop_oneof![1 => Just(StepRate::ZERO), 3 => (0.1..5_000.0f64).prop_map(|r| rate(r).into())]
    }

    prop_compose! {
        /// A ramp, a pause or a constant rate. The lengths are short and long, and no whole milliseconds.
        fn any_step()(
            from in step_rate(),
            to in step_rate(),
            is_ramp in any::<bool>(),
            nanos in prop_oneof![1..100u64, 1..5_000_000_000u64],
            arrival in prop_oneof![Just(None), Just(Some(Arrival::Constant)), Just(Some(Arrival::Poisson))],
        ) -> Step {
            let to = if is_ramp { to } else { from };
            Step { from, to, length: Duration::from_nanos(nanos), arrival, phase: Phase::Measured }
        }
    }

    /// One to six steps of any kind.
    pub fn any_steps() -> impl Strategy<Value = Vec<Step>> {
        prop::collection::vec(any_step(), 1..=6)
    }

    prop_compose! {
        /// A profile of any kind, whose steps have no arrivals of their own.
        pub fn any_profile()(
            kind in 0..4,
            single in 0.1..5_000.0f64,
            steps in any_steps(),
            millis in prop::collection::vec(1..20_000u64, 2),
        ) -> Profile {
            let length = |at: usize| Duration::from_millis(millis[at]);
            let mut steps = steps;
            steps.iter_mut().for_each(|step| step.arrival = None);
            match kind {
                0 => Profile::constant(rate(single)),
                1 => Profile::ramp(length(0), length(1), rate(single)).unwrap(),
                2 => Profile::steps(Duration::ZERO, &steps).unwrap(),
                _ => Profile::steps(length(0), &steps).unwrap(),
            }
        }
    }

    proptest! {
        #[test]
        fn an_order_is_due_at_the_first_nanosecond_that_has_its_work(profile in any_profile(), n in 0..50_000u64) {
            let due = profile.time_of_work(u128::from(n) * WORK_PER_ORDER);
            prop_assert!(profile.orders_before(due) <= n);
            if due < u64::MAX {
                prop_assert!(profile.work(due) >= u128::from(n) * WORK_PER_ORDER);
                prop_assert!(profile.orders_before(due + 1) > n);
            }
        }

        #[test]
        fn work_that_is_no_whole_order_is_due_at_the_first_nanosecond_that_has_it_or_after_a_pause(
            profile in any_profile(),
            work in 0..10_000 * WORK_PER_ORDER,
        ) {
            let due = profile.time_of_work(work);
            prop_assume!(due < u64::MAX);
            prop_assert!(profile.work(due) >= work);
            let is_after_pause = profile.segments.windows(2)
                .any(|pair| matches!(pair[0].shape, Shape::Pause) && pair[1].start == due);
            prop_assert!(due == 0 || profile.work(due - 1) < work || is_after_pause);
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
        assert!(ramp(17 * 3_600, 100_000.0).is_err() && ramp(3_600, 100_000.0).is_ok());
        let profile = ramp(30, 1_000.0).unwrap();
        assert_eq!(profile.work(30_000_000_000) / WORK_PER_ORDER, 15_000);
        assert_eq!(profile.work(31_000_000_000) / WORK_PER_ORDER, 16_000);
    }

    #[test]
    fn steps_have_exactly_their_orders() {
        for (text, seconds, orders) in [
            ("500:30s,1000:30s,2000:30s", 90, 15_000 + 30_000 + 60_000),
            ("0-1000:20s,1000:60s,5000:5s,1000-0:10s", 95, 10_000 + 60_000 + 25_000 + 5_000),
            ("200-1000:10s,1000-200:10s", 20, 6_000 + 6_000),
            ("0:5s,1000:1s,0:3s,1000:1s,0:7s", 17, 2_000),
        ] {
            let profile = Profile::steps(Duration::ZERO, &steps(text)).unwrap();
            assert_eq!(profile.orders_before(seconds * 1_000_000_000), orders, "{text}");
        }
    }

    #[test]
    fn no_order_is_due_in_a_pause_nor_at_its_first_nanosecond() {
        let profile = Profile::steps(Duration::ZERO, &steps("0:1s,1000:1s,0:2s,0:1s,1000:1s,0:1s")).unwrap();
        let due: Vec<u64> = (0..=2_000).map(|n| profile.time_of_work(n * WORK_PER_ORDER)).collect();
        let millis = 1_000_000;
        assert_eq!(due[..2], [1_000 * millis, 1_001 * millis]);
        assert_eq!(due[998..1_002], [1_998 * millis, 1_999 * millis, 5_000 * millis, 5_001 * millis]);
        assert_eq!(due[1_998..], [5_998 * millis, 5_999 * millis, u64::MAX]);
        for (at, before) in [(0, 0), (1_000, 0), (1_001, 1), (2_000, 1_000), (5_000, 1_000), (6_000, 2_000)] {
            assert_eq!(profile.orders_before(at * millis), before, "{at} ms");
        }
        assert_eq!(profile.orders_before(u64::MAX), 2_000);
    }

    #[test]
    fn lengths_that_overflow_are_refused() {
        let century = "1:100years";
        assert!(Profile::steps(Duration::ZERO, &steps(&[century; 5].join(","))).is_ok());
        assert_eq!(Profile::steps(Duration::ZERO, &steps(&[century; 6].join(","))).unwrap_err(), TooLong);
        assert_eq!(Profile::steps(Duration::ZERO, &steps("1:600years")).unwrap_err(), TooLong);
        assert_eq!(Profile::steps(Duration::ZERO, &steps("10M-0:2h")).unwrap_err(), TooLong);
    }
}
