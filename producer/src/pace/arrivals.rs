//! The due times that follow from a profile: evenly spaced or from a Poisson process, and bursts.

use std::{str::FromStr, time::Duration};

use clap::ValueEnum;
use rand::RngExt;

use super::profile::{Profile, WORK_PER_ORDER};
use crate::random::{Purpose, RunRandom, run_random};

/// The distribution of the due times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Arrival {
    /// Evenly spaced.
    #[default]
    Constant,
    /// A Poisson process: exponential intervals, as of many independent buyers.
    Poisson,
}

/// Extra orders at one time, repeated: `5000@10s` is 5,000 orders every 10 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    pub orders: u64,
    /// Time between two bursts, and before the first one.
    pub every: Duration,
}

impl FromStr for Burst {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (orders, every) = text.split_once('@').ok_or("a burst is ORDERS@DURATION, such as 5000@10s")?;
        let orders = orders.parse().ok().filter(|orders| *orders > 0).ok_or("a burst has at least one order")?;
        Ok(Self { orders, every: shared::program::positive_duration(every)? })
    }
}

/// Due times in nanoseconds after the start, ascending, without end.
#[derive(Clone, Debug)]
pub struct Arrivals {
    profile: Profile,
    spread: Spread,
    next_of_profile: u64,
    burst: Option<NextBurst>,
}

#[derive(Clone, Debug)]
enum Spread {
    Constant { next: u128 },
    Poisson { work: u128, random: Box<RunRandom> },
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
    /// The orders of `profile`, distributed as `arrival`, plus `burst`s. The intervals of a Poisson process follow from
    /// `seed`.
    pub fn new(profile: Profile, arrival: Arrival, burst: Option<Burst>, seed: u64) -> Self {
        let spread = match arrival {
            Arrival::Constant => Spread::Constant { next: 0 },
            Arrival::Poisson => Spread::Poisson { work: 0, random: Box::new(run_random(seed, Purpose::Arrivals)) },
        };
        let burst = burst.map(|burst| {
            let every = u64::try_from(burst.every.as_nanos()).unwrap_or(u64::MAX);
            NextBurst { orders: burst.orders, every, at: every, remaining: burst.orders }
        });
        let mut arrivals = Self { profile, spread, next_of_profile: 0, burst };
        arrivals.advance_profile();
        arrivals
    }

    /// The next due time, without consuming it.
    pub fn peek(&self) -> u64 {
        self.burst.as_ref().map_or(self.next_of_profile, |burst| burst.at.min(self.next_of_profile))
    }

    /// Number of orders due before `time`: exact when evenly spaced, the expected value of a Poisson process.
    pub fn count_before(&self, time: u64) -> u64 {
        let Some(last) = time.checked_sub(1) else { return 0 };
        let of_profile = match self.spread {
            Spread::Constant { .. } => self.profile.work(last) / WORK_PER_ORDER + 1,
            Spread::Poisson { .. } => self.profile.work(last) / WORK_PER_ORDER,
        };
        let of_bursts = self.burst.as_ref().map_or(0, |burst| last / burst.every * burst.orders);
        u64::try_from(of_profile).unwrap_or(u64::MAX).saturating_add(of_bursts)
    }

    fn advance_profile(&mut self) {
        let work = match &mut self.spread {
            Spread::Constant { next } => {
                *next += WORK_PER_ORDER;
                *next - WORK_PER_ORDER
            }
            Spread::Poisson { work, random } => {
                // Time-rescaling: in units of work the process has rate 1, so the gaps of work are exponential.
                let gap = -(1.0 - random.random::<f64>()).ln();
                *work += (gap * WORK_PER_ORDER as f64) as u128;
                *work
            }
        };
        self.next_of_profile = self.profile.time_of_work(work);
    }
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
    use proptest::prelude::*;

    use super::{
        super::profile::tests::{any_profile, rate},
        *,
    };

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
            let exact = (profile.work(time) / WORK_PER_ORDER + 1) as u64 + bursts;
            prop_assert_eq!(arrivals.count_before(time + 1), exact);
            let due: Vec<u64> = arrivals.take_while(|due| *due <= time).collect();
            prop_assert_eq!(due.len() as u64, exact);
            prop_assert!(due.is_sorted());
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
        let second = 1_000_000_000;
        assert_eq!(due, [0, second, second, second, second, 2 * second, 2 * second]);
        for wrong in ["3", "0@1s", "3@0s", "-3@1s", "@"] {
            assert!(wrong.parse::<Burst>().is_err(), "{wrong}");
        }
    }
}
