//! The statuses that may follow a status, how often, and after which time.

use std::time::Duration;

use shared::{lifecycle::OrderStatus, order::PlacedStatus};

/// The longest time from an order to its last change.
pub const MAX_HISTORY: Duration = Duration::from_secs(3_600);

/// Time from one change to the next, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Delay {
    Constant(u64),
    /// Evenly distributed; both ends are possible.
    Uniform {
        from: u64,
        to: u64,
    },
    /// Exponentially distributed; a longer delay becomes `max`.
    Exponential {
        mean: u64,
        max: u64,
    },
}

impl Delay {
    /// The longest delay that is possible.
    pub fn longest(self) -> Duration {
        match self {
            Self::Constant(micros) | Self::Uniform { to: micros, .. } | Self::Exponential { max: micros, .. } => {
                Duration::from_micros(micros)
            }
        }
    }
}

/// What may follow a status.
#[derive(Clone, Debug, PartialEq)]
pub struct Branch {
    /// How often, compared with the other branches of the status. Finite, not negative.
    pub weight: f64,
    /// `None`: the order stays as it is.
    pub change: Option<Change>,
}

/// A change to another status.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// One that may follow by [`OrderStatus::next`].
    pub status: OrderStatus,
    pub delay: Delay,
    /// At most [`shared::lifecycle::MAX_REASON_CHARS`] characters, without NUL.
    pub reason: String,
}

/// What becomes of orders. No history is longer than [`MAX_HISTORY`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lifecycle {
    /// Share of the orders that go on at all, 0 to 1.
    pub share: f64,
    branches: [Vec<Branch>; OrderStatus::ALL.len()],
}

impl Lifecycle {
    /// One in which no status has a branch yet.
    pub fn new(share: f64) -> Self {
        Self { share, ..Self::default() }
    }

    /// The branches of `status`; none for the end of an order. At least one has a weight above 0 otherwise.
    pub fn branches(&self, status: OrderStatus) -> &[Branch] {
        &self.branches[status as usize]
    }

    pub fn set_branches(&mut self, status: OrderStatus, branches: Vec<Branch>) {
        self.branches[status as usize] = branches;
    }

    /// The longest possible time from an order to its last change, and the statuses on that way.
    pub fn longest(&self) -> (Duration, Vec<OrderStatus>) {
        let placed = [PlacedStatus::Paid, PlacedStatus::PaymentPending, PlacedStatus::Cancelled];
        let from_placed = placed.map(|placed| self.longest_from(placed.into()));
        from_placed.into_iter().max_by_key(|(time, _)| *time).unwrap_or_default()
    }

    /// The transitions have no circle, so that this ends.
    fn longest_from(&self, status: OrderStatus) -> (Duration, Vec<OrderStatus>) {
        let possible = self.branches(status).iter().filter(|branch| branch.weight > 0.0);
        let later = possible.filter_map(|branch| branch.change.as_ref()).map(|change| {
            let (time, way) = self.longest_from(change.status);
            (change.delay.longest() + time, way)
        });
        let (time, mut way) = later.max_by_key(|(time, _)| *time).unwrap_or_default();
        way.insert(0, status);
        (time, way)
    }
}
