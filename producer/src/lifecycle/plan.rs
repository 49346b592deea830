//! The history of each order, drawn ahead of time: which changes it will have, and when.

use std::sync::Arc;

use rand::Rng;
use shared::{lifecycle::OrderStatus, order::PlacedStatus};

use super::model::{Branch, Delay, Lifecycle};
use crate::random::{OrderRandom, OrderRandoms};

const NANOS_PER_MICRO: u64 = 1_000;

/// The histories of a run. That of an order follows from the seed, its number and the status that it was placed with:
/// shards, repeated runs and resumed ones have the same.
pub struct Plans {
    lifecycle: Arc<Lifecycle>,
    randoms: OrderRandoms,
}

/// A change that an order will have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlannedChange<'a> {
    pub status: OrderStatus,
    pub reason: &'a str,
    /// Nanoseconds after the due time of the order; whole microseconds.
    pub after: u64,
}

impl Plans {
    pub fn new(lifecycle: Arc<Lifecycle>, seed: u64) -> Self {
        Self { lifecycle, randoms: OrderRandoms::of_lifecycles(seed) }
    }

    /// The changes of order `number`, in their sequence.
    pub fn history(&mut self, number: u64, placed: PlacedStatus) -> History<'_> {
        let mut random = self.randoms.of(number);
        let goes_on = unit(&mut random) < self.lifecycle.share;
        let status = goes_on.then(|| placed.into());
        History { lifecycle: &self.lifecycle, random, status, after: 0 }
    }
}

/// The changes of an order. Each is drawn when it is asked for.
pub struct History<'a> {
    lifecycle: &'a Lifecycle,
    random: OrderRandom,
    /// `None`: there is no further change.
    status: Option<OrderStatus>,
    after: u64,
}

impl<'a> Iterator for History<'a> {
    type Item = PlannedChange<'a>;

    fn next(&mut self) -> Option<PlannedChange<'a>> {
        let branches = self.lifecycle.branches(self.status?);
        let change = branch(branches, &mut self.random).and_then(|branch| branch.change.as_ref());
        self.status = change.map(|change| change.status);
        let change = change?;
        self.after += delay(change.delay, &mut self.random) * NANOS_PER_MICRO;
        Some(PlannedChange { status: change.status, reason: &change.reason, after: self.after })
    }
}

/// A branch, in proportion to the weights; `None` when there is none.
fn branch<'a>(branches: &'a [Branch], random: &mut OrderRandom) -> Option<&'a Branch> {
    let mut possible = branches.iter().filter(|branch| branch.weight > 0.0);
    let total: f64 = possible.clone().map(|branch| branch.weight).sum();
    let mut rest = unit(random) * total;
    let last = possible.clone().next_back();
    let drawn = possible.find(|branch| {
        rest -= branch.weight;
        rest < 0.0
    });
    // Rounding may leave a rest beyond the last one.
    drawn.or(last)
}

/// A delay in microseconds. Whole ones, so that logarithms that are rounded differently have the same delay.
fn delay(delay: Delay, random: &mut OrderRandom) -> u64 {
    match delay {
        Delay::Constant(micros) => micros,
        Delay::Uniform { from, to } => from + below(to - from + 1, random),
        Delay::Exponential { mean, max } => {
            let drawn = -(1.0 - unit(random)).ln() * mean as f64;
            (drawn.round() as u64).min(max)
        }
    }
}

/// A number from 0 to 1, without 1: the highest 53 bits of the generator. Written here, since a library may change its
/// algorithm.
fn unit(random: &mut OrderRandom) -> f64 {
    (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// A whole number below `limit`. Its distribution is even to 1 in 2^32 for the limits of a delay.
fn below(limit: u64, random: &mut OrderRandom) -> u64 {
    ((u128::from(random.next_u64()) * u128::from(limit)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use shared::lifecycle::MAX_CHANGES;

    use super::*;
    use crate::lifecycle::{default_text, model::Change, read};

    const PLACED: [PlacedStatus; 3] = [PlacedStatus::Paid, PlacedStatus::PaymentPending, PlacedStatus::Cancelled];

    fn any_delay() -> impl Strategy<Value = Delay> {
        let micros = 0..600_000_000u64;
        prop_oneof![
            micros.clone().prop_map(Delay::Constant),
            (micros.clone(), 0..100_000_000u64).prop_map(|(from, more)| Delay::Uniform { from, to: from + more }),
            (micros, 0..100_000_000u64).prop_map(|(mean, more)| Delay::Exponential { mean, max: mean + more }),
        ]
    }

    /// The weights and delays of all transitions, and of the ends.
    fn any_lifecycle() -> impl Strategy<Value = Lifecycle> {
        let transitions = OrderStatus::ALL.iter().map(|status| status.next().len() + 1).sum::<usize>();
        let branches = prop::collection::vec((prop_oneof![Just(0.0), 0.0..9.0f64], any_delay()), transitions);
        (0.0..=1.0f64, branches).prop_map(|(share, branches)| {
            let (mut lifecycle, mut drawn) = (Lifecycle::new(share), branches.into_iter());
            for status in OrderStatus::ALL {
                let next = status.next().iter().copied().map(Some).chain([None]);
                let branches = next.zip(drawn.by_ref()).map(|(next, (weight, delay))| Branch {
                    weight,
                    change: next.map(|status| Change { status, delay, reason: String::new() }),
                });
                lifecycle.set_branches(status, branches.collect());
            }
            lifecycle
        })
    }

    fn default_lifecycle() -> Arc<Lifecycle> {
        Arc::new(read("default.toml", default_text()).unwrap())
    }

    /// Status and time of each change.
    fn history(plans: &mut Plans, number: u64, placed: PlacedStatus) -> Vec<(OrderStatus, u64)> {
        plans.history(number, placed).map(|change| (change.status, change.after)).collect()
    }

    proptest! {
        #[test]
        fn a_history_follows_the_transitions_in_time_and_is_the_same_in_each_shard(
            lifecycle in any_lifecycle(),
            seed: u64,
            from in 0..1_000_000u64,
        ) {
            let longest = lifecycle.longest().0.as_nanos() as u64;
            let lifecycle = Arc::new(lifecycle);
            let numbers: Vec<u64> = (from..from + 40).collect();
            let mut plans = Plans::new(lifecycle.clone(), seed);
            let histories: Vec<_> =
                numbers.iter().flat_map(|n| PLACED.map(|placed| history(&mut plans, *n, placed))).collect();
            for (history, placed) in histories.iter().zip(PLACED.iter().cycle()) {
                prop_assert!(history.len() <= usize::from(MAX_CHANGES));
                let (mut status, mut after) = (OrderStatus::from(*placed), 0);
                for (next, time) in history {
                    let branches = lifecycle.branches(status).iter();
                    let is_branch = |branch: &&Branch| branch.change.as_ref().is_some_and(|to| to.status == *next);
                    let branch = branches.clone().find(is_branch).unwrap();
                    prop_assert!(branch.weight > 0.0 && status.next().contains(next) && *time >= after);
                    (status, after) = (*next, *time);
                }
                prop_assert!(after <= longest);
            }
            // Three shards, the last one in the opposite direction.
            for shard in 0..3 {
                let mut own: Vec<usize> = (0..numbers.len()).filter(|at| at % 3 == shard).collect();
                if shard == 2 {
                    own.reverse();
                }
                let mut plans = Plans::new(lifecycle.clone(), seed);
                for at in own {
                    let of_shard = PLACED.map(|placed| history(&mut plans, numbers[at], placed));
                    prop_assert_eq!(&of_shard[..], &histories[3 * at..3 * at + 3]);
                }
            }
        }
    }

    #[test]
    fn the_default_has_two_and_a_half_changes_an_order_within_a_minute() {
        let lifecycle = default_lifecycle();
        assert!(lifecycle.longest().0 <= Duration::from_secs(60), "{:?}", lifecycle.longest());
        let mut plans = Plans::new(lifecycle, 1);
        let placed = |number| match number % 100 {
            0..90 => PlacedStatus::Paid,
            90..97 => PlacedStatus::PaymentPending,
            _ => PlacedStatus::Cancelled,
        };
        let orders = 100_000;
        let changes: usize = (0..orders).map(|number| plans.history(number, placed(number)).count()).sum();
        let mean = changes as f64 / orders as f64;
        assert!((mean - 2.5).abs() < 0.02, "{mean}");
    }

    #[test]
    fn the_share_of_the_orders_that_go_on_is_the_configured_one() {
        let going_on = |share: f64| {
            let mut lifecycle = Lifecycle::new(share);
            let change = Change { status: OrderStatus::Paid, delay: Delay::Constant(0), reason: String::new() };
            lifecycle.set_branches(OrderStatus::PaymentPending, vec![Branch { weight: 1.0, change: Some(change) }]);
            let mut plans = Plans::new(Arc::new(lifecycle), 3);
            (0..100_000).filter(|n| plans.history(*n, PlacedStatus::PaymentPending).count() == 1).count()
        };
        assert_eq!((going_on(0.0), going_on(1.0)), (0, 100_000));
        assert!((29_300..30_700).contains(&going_on(0.3)));
    }

    #[test]
    fn branches_are_drawn_by_their_weights_and_one_of_weight_0_never() {
        let text = "[paid]\nprocessing = {weight = 3, delay = '0s'}\ncancelled = {weight = 0, delay = '0s'}\n\
                    refunded = {weight = 1, delay = '0s'}\nend = {weight = 4}";
        let mut plans = Plans::new(Arc::new(read("f", text).unwrap()), 5);
        let first: Vec<_> = (0..80_000).map(|n| history(&mut plans, n, PlacedStatus::Paid).first().copied()).collect();
        let count = |status: Option<OrderStatus>| first.iter().filter(|it| it.map(|it| it.0) == status).count();
        let near = |count: usize, expected: usize| count.abs_diff(expected) < 700;
        assert!(near(count(Some(OrderStatus::Processing)), 30_000) && near(count(None), 40_000));
        assert!(near(count(Some(OrderStatus::Refunded)), 10_000) && count(Some(OrderStatus::Cancelled)) == 0);
    }

    #[test]
    fn delays_have_their_distributions_and_ends() {
        let drawn = |of: Delay| -> Vec<u64> {
            let mut randoms = OrderRandoms::of_lifecycles(7);
            (0..20_000).map(|number| delay(of, &mut randoms.of(number))).collect()
        };
        let mean = |delays: &[u64]| delays.iter().sum::<u64>() as f64 / delays.len() as f64;
        assert!(drawn(Delay::Constant(5)).iter().all(|delay| *delay == 5));
        let uniform = drawn(Delay::Uniform { from: 3, to: 12 });
        assert_eq!((uniform.iter().min(), uniform.iter().max()), (Some(&3), Some(&12)));
        assert!((mean(&uniform) - 7.5).abs() < 0.1, "{}", mean(&uniform));
        let exponential = drawn(Delay::Exponential { mean: 1_000, max: 20_000 });
        assert!((mean(&exponential) - 1_000.0).abs() < 25.0, "{}", mean(&exponential));
        let capped = drawn(Delay::Exponential { mean: 1_000, max: 1_000 });
        let at_max = capped.iter().filter(|delay| **delay == 1_000).count() as f64 / 20_000.0;
        assert!(capped.iter().all(|delay| *delay <= 1_000) && (at_max - (-1.0_f64).exp()).abs() < 0.02, "{at_max}");
    }
}
