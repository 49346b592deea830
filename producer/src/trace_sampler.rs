//! Which orders are traced, and the ids of their spans. Both follow from the order's id: the record of an order, its
//! delivery report and every later program agree without a table of the orders in flight.

use std::{hash::BuildHasher, str::FromStr};

use foldhash::quality::FixedState;
use shared::{
    order_id::OrderId,
    traces::{SpanContext, SpanId, TraceFlags, TraceId, TraceState},
};

use crate::share::parse_share;

const TRACE_HIGH: FixedState = FixedState::with_seed(1);
const TRACE_LOW: FixedState = FixedState::with_seed(2);
const SPAN: FixedState = FixedState::with_seed(3);

/// Number of trace ids that differ in the bits that decide. A collector that samples by the trace id uses the same 56
/// bits, so that it keeps a part of the orders that are sampled here.
const RANDOM_VALUES: u64 = 1 << 56;

/// Samples a share of the orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceSampler {
    /// An order is sampled if the random bits of its trace id are at least this number, from 0 to 2^56.
    threshold: u64,
}

impl FromStr for TraceSampler {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let share = parse_share(text)?;
        Ok(Self { threshold: ((1.0 - share) * RANDOM_VALUES as f64) as u64 })
    }
}

impl TraceSampler {
    /// Whether no order is sampled.
    pub fn is_none(self) -> bool {
        self.threshold == RANDOM_VALUES
    }

    /// The context of the order's span, if the order is sampled.
    pub fn span_of(self, id: OrderId) -> Option<SpanContext> {
        let low = TRACE_LOW.hash_one(id);
        if low % RANDOM_VALUES < self.threshold {
            return None;
        }
        let trace = TraceId::from((u128::from(TRACE_HIGH.hash_one(id)) << 64) | u128::from(low));
        let span = SpanId::from(SPAN.hash_one(id));
        Some(SpanContext::new(trace, span, TraceFlags::SAMPLED, false, TraceState::NONE))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use shared::order_id::{RunTag, Sequence};

    use super::*;

    const ORDERS: u64 = 100_000;

    /// The spans of the sampled orders of a run at 1,000 orders a second.
    fn spans(share: &str) -> Vec<SpanContext> {
        let (sampler, tag) = (share.parse::<TraceSampler>().unwrap(), RunTag::near(7, 0));
        let id = |n| OrderId::new(1_700_000_000_000_000_000 + n * 1_000_000, tag, Sequence::new(n).unwrap());
        (0..ORDERS).filter_map(|n| sampler.span_of(id(n))).collect()
    }

    #[test]
    fn the_share_of_sampled_orders_is_the_configured_one() {
        let sampled = |share: &str| spans(share).len();
        assert_eq!((sampled("0%"), sampled("100%")), (0, ORDERS as usize));
        assert!((900..1_100).contains(&sampled("1%")) && (49_000..51_000).contains(&sampled("0.5")));
        assert!("0".parse::<TraceSampler>().unwrap().is_none() && !"0.01%".parse::<TraceSampler>().unwrap().is_none());
        for wrong in ["", "101%", "-1", "some"] {
            assert!(wrong.parse::<TraceSampler>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_order_has_the_same_span_each_time_and_no_other_order_has_it() {
        let all: HashSet<SpanContext> = spans("100%").into_iter().collect();
        let traces: HashSet<TraceId> = all.iter().map(SpanContext::trace_id).collect();
        assert_eq!(traces.len(), ORDERS as usize);
        assert!(spans("1%").iter().all(|span| all.contains(span) && span.is_valid() && span.is_sampled()));
    }
}
