//! The due times that follow from a profile: evenly spaced or from a Poisson process, and bursts.

use rand::RngExt;

use super::{
    arrival::Arrival,
    burst::Burst,
    profile::{Profile, WORK_PER_ORDER},
};
use crate::random::{Purpose, RunRandom, run_random};

/// Due times in nanoseconds after the start, ascending, without end.
#[derive(Clone, Debug)]
pub struct Arrivals {
    profile: Profile,
    /// The spans of time with one distribution, ascending, from 0 on.
    spans: Vec<Span>,
    /// The span of `next_of_profile`.
    current: usize,
    position: Position,
    /// Random numbers of the Poisson processes.
    random: Box<RunRandom>,
    next_of_profile: u64,
    burst: Option<NextBurst>,
}

/// A span of time, in nanoseconds after the start.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u64,
    /// The start of the next span; `u64::MAX` for the last one.
    end: u64,
    arrival: Arrival,
}

/// How far the current span was iterated, as work of the profile.
#[derive(Clone, Copy, Debug)]
enum Position {
    /// Of the next order: a whole number of orders.
    Constant { next: u128 },
    /// Of the last order, or of the start of the span.
    Poisson { last: u128 },
}

#[derive(Clone, Debug)]
struct NextBurst {
    orders: u64,
    /// Nanoseconds.
    every: u64,
    /// Due time of the orders of this burst.
    at: u64,
    /// Orders of this burst that were not returned yet.
    remaining: u64,
}

impl Arrivals {
    /// The orders of `profile`, plus `burst`s. They are distributed as the profile says, else as `default`. The
    /// intervals of a Poisson process follow from `seed`.
    pub fn new(profile: Profile, default: Arrival, burst: Option<Burst>, seed: u64) -> Self {
        let burst = burst.map(|burst| {
            let every = u64::try_from(burst.every.as_nanos()).unwrap_or(u64::MAX);
            NextBurst { orders: burst.orders, every, at: every, remaining: burst.orders }
        });
        let spans = spans(&profile.arrivals(default));
        let position = Position::at_start(&spans[0], &profile);
        let random = Box::new(run_random(seed, Purpose::Arrivals));
        let mut arrivals = Self { profile, spans, current: 0, position, random, next_of_profile: 0, burst };
        arrivals.advance_profile();
        arrivals
    }

    /// The next due time, without consuming it.
    pub fn peek(&self) -> u64 {
        self.burst.as_ref().map_or(self.next_of_profile, |burst| burst.at.min(self.next_of_profile))
    }

    /// Whether a part of them is a Poisson process.
    pub fn are_random(&self) -> bool {
        self.spans.iter().any(|span| span.arrival == Arrival::Poisson)
    }

    /// Number of orders due before `time`: exact when evenly spaced, the expected value of a Poisson process.
    pub fn count_before(&self, time: u64) -> u64 {
        let (constant, poisson) = self.counts_before(time);
        constant.saturating_add(u64::try_from(poisson / WORK_PER_ORDER).unwrap_or(u64::MAX))
    }

    /// Whether an order may be due from `start` on and before `end`: certain without a Poisson process.
    pub fn may_have_orders(&self, start: u64, end: u64) -> bool {
        self.counts_before(end) != self.counts_before(start)
    }

    /// The number of evenly spaced orders and those of bursts due before `time`, and the work of the Poisson processes.
    fn counts_before(&self, time: u64) -> (u64, u128) {
        let of_bursts = self.burst.as_ref().map_or(0, |burst| time.saturating_sub(1) / burst.every * burst.orders);
        let (mut constant, mut poisson) = (of_bursts, 0);
        for span in self.spans.iter().take_while(|span| span.start < time) {
            let end = span.end.min(time);
            match span.arrival {
                Arrival::Constant => {
                    let of_span = self.profile.orders_before(end) - self.profile.orders_before(span.start);
                    constant = constant.saturating_add(of_span);
                }
                Arrival::Poisson => poisson += self.profile.work(end) - self.profile.work(span.start),
            }
        }
        (constant, poisson)
    }

    fn advance_profile(&mut self) {
        self.next_of_profile = self.next_of_span();
        while self.next_of_profile >= self.spans[self.current].end && self.current + 1 < self.spans.len() {
            self.current += 1;
            self.position = Position::at_start(&self.spans[self.current], &self.profile);
            self.next_of_profile = self.next_of_span();
        }
    }

    /// The next due time as if the current span had no end.
    fn next_of_span(&mut self) -> u64 {
        let work = match &mut self.position {
            Position::Constant { next } => {
                *next += WORK_PER_ORDER;
                *next - WORK_PER_ORDER
            }
            Position::Poisson { last } => {
                // Time-rescaling: in units of work the process has rate 1, so the gaps of work are exponential.
                let gap = -(1.0 - self.random.random::<f64>()).ln();
                *last += (gap * WORK_PER_ORDER as f64) as u128;
                *last
            }
        };
        self.profile.time_of_work(work)
    }
}

impl Position {
    fn at_start(span: &Span, profile: &Profile) -> Self {
        match span.arrival {
            Arrival::Constant => {
                Self::Constant { next: u128::from(profile.orders_before(span.start)) * WORK_PER_ORDER }
            }
            // A Poisson process has no memory: it begins anew.
            Arrival::Poisson => Self::Poisson { last: profile.work(span.start) },
        }
    }
}

fn spans(starts: &[(u64, Arrival)]) -> Vec<Span> {
    let ends = starts.iter().skip(1).map(|(start, _)| *start).chain([u64::MAX]);
    starts.iter().zip(ends).map(|((start, arrival), end)| Span { start: *start, end, arrival: *arrival }).collect()
}

impl Iterator for Arrivals {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        match &mut self.burst {
            Some(burst) if burst.at <= self.next_of_profile => {
                let due = burst.at;
                burst.remaining -= 1;
                if burst.remaining == 0 {
                    (burst.at, burst.remaining) = (burst.at.saturating_add(burst.every), burst.orders);
                }
                Some(due)
            }
            _ => {
                let due = self.next_of_profile;
                self.advance_profile();
                Some(due)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{
        super::profile::tests::{any_profile, any_steps, rate, steps},
        *,
    };

    const SECOND: u64 = 1_000_000_000;

    proptest! {
        #[test]
        fn the_number_due_at_any_time_is_exact(
            profile in any_profile(),
            burst in prop::option::of((1..50u64, 1..5_000u64)),
            millis in 1..10_000u64,
        ) {
            let burst = burst.map(|(orders, every)| Burst { orders, every: Duration::from_millis(every) });
            let arrivals = Arrivals::new(profile.clone(), Arrival::Constant, burst, 0);
            let time = millis * 1_000_000;
            let bursts = burst.map_or(0, |burst| millis / burst.every.as_millis() as u64 * burst.orders);
            let exact = profile.orders_before(time + 1) + bursts;
            prop_assert_eq!(arrivals.count_before(time + 1), exact);
            let due: Vec<u64> = arrivals.take_while(|due| *due <= time).collect();
            prop_assert_eq!(due.len() as u64, exact);
            prop_assert!(due.is_sorted());
        }

        /// Steps with any arrivals. What is due in those without a Poisson process is exact.
        #[test]
        fn due_times_ascend_and_evenly_spaced_steps_have_exactly_their_orders(
            steps in any_steps(),
            default in prop_oneof![Just(Arrival::Constant), Just(Arrival::Poisson)],
            seed in any::<u64>(),
        ) {
            let profile = Profile::steps(Duration::ZERO, &steps).unwrap();
            let arrivals = Arrivals::new(profile, default, None, seed);
            let end = steps.iter().map(|step| step.length.as_nanos() as u64).sum();
            let due: Vec<u64> = arrivals.clone().take_while(|due| *due < end).collect();
            prop_assert!(due.is_sorted());
            let mut start = 0;
            for step in steps {
                let end = start + step.length.as_nanos() as u64;
                let found = due.iter().filter(|due| (start..end).contains(due)).count() as u64;
                if step.is_pause() {
                    prop_assert_eq!(found, 0, "in a pause");
                }
                if step.arrival.unwrap_or(default) == Arrival::Constant {
                    prop_assert_eq!(found, arrivals.count_before(end) - arrivals.count_before(start));
                } else if found > 0 {
                    prop_assert!(arrivals.may_have_orders(start, end));
                }
                start = end;
            }
        }

        /// All steps of a schedule with the arrival of the schedule are those of the schedule without it.
        #[test]
        fn an_arrival_that_all_steps_have_is_that_of_the_schedule(steps in any_steps(), seed in any::<u64>()) {
            for arrival in [Arrival::Constant, Arrival::Poisson] {
                let due = |of_steps, default| {
                    let mut steps = steps.clone();
                    steps.iter_mut().for_each(|step| step.arrival = of_steps);
                    let profile = Profile::steps(Duration::ZERO, &steps).unwrap();
                    Arrivals::new(profile, default, None, seed).take(200).collect::<Vec<_>>()
                };
                let other = if arrival == Arrival::Poisson { Arrival::Constant } else { Arrival::Poisson };
                prop_assert_eq!(due(Some(arrival), other), due(None, arrival));
            }
        }
    }

    /// A Kolmogorov-Smirnov test at the 0.1 % level (1.949 / √n). The seed is fixed, so the result never changes.
    #[test]
    fn the_gaps_of_a_poisson_process_are_exponential() {
        let arrivals = Arrivals::new(Profile::constant(rate(1_000.0)), Arrival::Poisson, None, 42);
        let due: Vec<u64> = arrivals.take(20_001).collect();
        let mut gaps: Vec<f64> = due.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 1e6).collect();
        gaps.sort_by(f64::total_cmp);
        let n = gaps.len() as f64;
        let distance = |(at, gap): (usize, &f64)| {
            let expected = 1.0 - (-gap).exp();
            (expected - at as f64 / n).abs().max(((at + 1) as f64 / n - expected).abs())
        };
        let largest = gaps.iter().enumerate().map(distance).fold(0.0, f64::max);
        assert!(largest < 1.949 / n.sqrt(), "{largest}");
    }

    /// Of 400 seeds, each step's number of orders must have mean and variance of a Poisson distribution: within five
    /// standard errors of both. The seeds are fixed, so the result never changes.
    #[test]
    fn the_number_of_orders_of_a_poisson_step_has_its_mean_and_variance() {
        let text = "100:1s,0-200:2s:poisson,0:1s,50:4s:poisson,100:1s";
        let (seeds, bounds) = (400, [0, 1, 3, 4, 8, 9].map(|second| second * SECOND));
        let counts: Vec<Vec<f64>> = (0..seeds)
            .map(|seed| {
                let profile = Profile::steps(Duration::ZERO, &steps(text)).unwrap();
                let arrivals = Arrivals::new(profile, Arrival::Constant, None, seed);
                let due: Vec<u64> = arrivals.take_while(|due| *due < bounds[5]).collect();
                let of_step = |pair: &[u64]| due.iter().filter(|due| (pair[0]..pair[1]).contains(due)).count() as f64;
                bounds.windows(2).map(of_step).collect()
            })
            .collect();
        for (step, (mean, variance)) in
            [(100.0, 0.0), (200.0, 200.0), (0.0, 0.0), (200.0, 200.0), (100.0, 0.0)].into_iter().enumerate()
        {
            let n = seeds as f64;
            let found_mean = counts.iter().map(|counts| counts[step]).sum::<f64>() / n;
            let found_variance = counts.iter().map(|counts| (counts[step] - found_mean).powi(2)).sum::<f64>() / n;
            assert!((found_mean - mean).abs() <= 5.0 * f64::sqrt(variance / n), "step {step}: mean {found_mean}");
            let error = variance * f64::sqrt(2.0 / n);
            assert!((found_variance - variance).abs() <= 5.0 * error, "step {step}: variance {found_variance}");
        }
    }

    /// The due times of a ramp from 0 have the density of its rate: their squares are evenly spread.
    #[test]
    fn the_orders_of_a_poisson_ramp_are_spread_as_its_rate() {
        let profile = Profile::steps(Duration::ZERO, &steps("0-2000:10s:poisson")).unwrap();
        let arrivals = Arrivals::new(profile, Arrival::Constant, None, 42);
        let squares: Vec<f64> =
            arrivals.take_while(|due| *due < 10 * SECOND).map(|due| (due as f64 / 1e10).powi(2)).collect();
        let n = squares.len() as f64;
        let distance = |(at, square): (usize, &f64)| (square - at as f64 / n).abs().max((at + 1) as f64 / n - square);
        let largest = squares.iter().enumerate().map(distance).fold(0.0, f64::max);
        assert!(largest < 1.949 / n.sqrt(), "{largest}");
    }

    #[test]
    fn evenly_spaced_orders_go_on_at_whole_numbers_after_a_poisson_step() {
        let profile = Profile::steps(Duration::ZERO, &steps("2:1s,2:1s:poisson,2:2s")).unwrap();
        let arrivals = Arrivals::new(profile, Arrival::Constant, None, 1);
        assert_eq!(arrivals.count_before(4 * SECOND), 8);
        let due: Vec<u64> = arrivals.take_while(|due| *due < 4 * SECOND).collect();
        assert_eq!(due[..2], [0, SECOND / 2]);
        assert_eq!(due[due.len() - 4..], [4, 5, 6, 7].map(|half| half * SECOND / 2));
        let of_poisson = &due[2..due.len() - 4];
        assert!(of_poisson.iter().all(|due| (SECOND..2 * SECOND).contains(due)), "{due:?}");
    }

    #[test]
    fn the_expected_number_of_a_poisson_process_is_its_rate_times_its_length() {
        let arrivals = Arrivals::new(Profile::constant(rate(1_000.0)), Arrival::Poisson, None, 0);
        assert_eq!(arrivals.count_before(30 * SECOND), 30_000);
    }

    #[test]
    fn the_same_seed_produces_the_same_arrivals() {
        let arrivals = |seed| {
            let profile = Profile::constant(rate(10.0));
            Arrivals::new(profile, Arrival::Poisson, None, seed).take(100).collect::<Vec<_>>()
        };
        assert_eq!(arrivals(1), arrivals(1));
        assert_ne!(arrivals(1), arrivals(2));
    }

    #[test]
    fn the_orders_of_a_burst_are_due_at_the_same_time() {
        let burst = "3@1s".parse().unwrap();
        let due: Vec<u64> =
            Arrivals::new(Profile::constant(rate(1.0)), Arrival::Constant, Some(burst), 0).take(7).collect();
        assert_eq!(due, [0, SECOND, SECOND, SECOND, SECOND, 2 * SECOND, 2 * SECOND]);
    }
}
