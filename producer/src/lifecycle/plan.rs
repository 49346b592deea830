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
