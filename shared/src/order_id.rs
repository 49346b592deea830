//! Order ids that carry when an order was due, which run it belongs to and which of the run's orders it is.
//!
//! An id is a version 7 UUID (RFC 9562): 48 bits of milliseconds, 12 bits `rand_a` with the sub-millisecond fraction
//! (RFC 9562 section 6.2, method 3), and in its last 62 bits `run tag (24) | sequence (38)`. Ids therefore sort by due
//! time, inserts go to the right edge of the index, and a table can be audited against a run with no extra column.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

const SEQUENCE_BITS: u32 = 38;
const TAG_BITS: u32 = 24;
const NANOS_PER_MILLI: u64 = 1_000_000;

/// Marks the orders of one producer instance of one run: 24 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunTag(u32);

impl RunTag {
    /// A tag drawn at random.
    pub fn random() -> Self {
        Self(rand::random::<u32>() >> (32 - TAG_BITS))
    }

    /// The `n`th tag after the one that `seed` stands for.
    pub fn near(seed: u32, n: u64) -> Self {
        Self(((u64::from(seed) + n) & ((1 << TAG_BITS) - 1)) as u32)
    }
}

impl fmt::Display for RunTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06x}", self.0)
    }
}

/// Which of its run's orders an order is, counted from 0; below [`Sequence::LIMIT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sequence(u64);

impl Sequence {
    /// Number of orders that one run tag can name: 2^38, three days at a million a second.
    pub const LIMIT: u64 = 1 << SEQUENCE_BITS;

    /// The `n`th order of a run; `None` from [`Self::LIMIT`] on.
    pub fn new(n: u64) -> Option<Self> {
        (n < Self::LIMIT).then_some(Self(n))
    }

    /// Counted from 0.
    pub fn get(self) -> u64 {
        self.0
    }
}

/// The id of an order that a run of ours made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(Uuid);

impl OrderId {
    /// Length of the textual form.
    pub const TEXT_LEN: usize = 36;

    /// Names order `sequence` of run `tag`, due `due_nanos` nanoseconds after the Unix epoch.
    pub fn new(due_nanos: u64, tag: RunTag, sequence: Sequence) -> Self {
        let millis = due_nanos / NANOS_PER_MILLI;
        let fraction = (due_nanos % NANOS_PER_MILLI) * 4096 / NANOS_PER_MILLI;
        let high = (millis << 16) | (0x7 << 12) | fraction;
        let low = (0b10 << 62) | (u64::from(tag.0) << SEQUENCE_BITS) | sequence.0;
        Self(Uuid::from_u64_pair(high, low))
    }

    /// Writes the textual form (lower case, hyphens) into `buffer`.
    pub fn encode(self, buffer: &mut [u8; Self::TEXT_LEN]) -> &str {
        self.0.hyphenated().encode_lower(buffer)
    }

    /// When the order was due, in nanoseconds after the Unix epoch, rounded down to 1/4096 ms.
    pub fn due_nanos(self) -> u64 {
        let (high, _) = self.0.as_u64_pair();
        // Rounded up within the fraction's step, so that encoding the answer again gives the same id.
        (high >> 16) * NANOS_PER_MILLI + ((high & 0xfff) * NANOS_PER_MILLI).div_ceil(4096)
    }

    /// The run that made the order.
    pub fn tag(self) -> RunTag {
        let (_, low) = self.0.as_u64_pair();
        RunTag(((low >> SEQUENCE_BITS) & ((1 << TAG_BITS) - 1)) as u32)
    }

    /// Which of its run's orders this is.
    pub fn sequence(self) -> Sequence {
        let (_, low) = self.0.as_u64_pair();
        Sequence(low & (Sequence::LIMIT - 1))
    }

    /// Bounds, as text, of every id (of any run) due between the two times; inclusive to the millisecond.
    pub fn text_range(from: DateTime<Utc>, to: DateTime<Utc>) -> RangeInclusive<String> {
        let prefix = |at: DateTime<Utc>| (at.timestamp_millis().max(0) as u64) << 16;
        let low = Uuid::from_u64_pair(prefix(from), 0);
        let high = Uuid::from_u64_pair(prefix(to) | 0xffff, u64::MAX);
        low.to_string()..=high.to_string()
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// The text is not a version 7 UUID: the order comes from another producer.
#[derive(Debug, thiserror::Error)]
#[error("not a version 7 UUID")]
pub struct NotOurs;

impl FromStr for OrderId {
    type Err = NotOurs;

    fn from_str(text: &str) -> Result<Self, NotOurs> {
        let uuid = Uuid::try_parse(text).map_err(|_| NotOurs)?;
        if uuid.get_version_num() == 7 { Ok(Self(uuid)) } else { Err(NotOurs) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_id_gives_back_what_it_was_made_of(due in 0..4_000_000_000_000_000_000u64, tag in 0..1u32 << TAG_BITS, n in 0..Sequence::LIMIT) {
            let id = OrderId::new(due, RunTag(tag), Sequence(n));
            let parsed: OrderId = id.to_string().parse().unwrap();
            prop_assert_eq!(parsed, id);
            prop_assert_eq!((parsed.tag(), parsed.sequence()), (RunTag(tag), Sequence(n)));
            prop_assert!(due.abs_diff(parsed.due_nanos()) <= NANOS_PER_MILLI / 4096 + 1);
            prop_assert_eq!(OrderId::new(parsed.due_nanos(), RunTag(tag), Sequence(n)), id);
        }

        #[test]
        fn ids_sort_by_due_time_and_lie_in_their_range(due in 0..4_000_000_000_000_000_000u64, later in 1_000..1_000_000_000_000u64) {
            let (first, second) = (OrderId::new(due, RunTag(7), Sequence(9)), OrderId::new(due + later, RunTag(7), Sequence(9)));
            prop_assert!(first.to_string() < second.to_string());
            let at = |nanos: u64| DateTime::from_timestamp_nanos(nanos as i64);
            let range = OrderId::text_range(at(due), at(due + later));
            prop_assert!(range.contains(&first.to_string()) && range.contains(&second.to_string()));
        }
    }

    #[test]
    fn the_limit_of_a_run_is_named() {
        assert!(Sequence::new(Sequence::LIMIT - 1).is_some());
        assert!(Sequence::new(Sequence::LIMIT).is_none());
    }

    #[test]
    fn another_producers_id_is_not_ours() {
        for text in ["", "order-1", "f47ac10b-58cc-4372-a567-0e02b2c3d479"] {
            assert!(text.parse::<OrderId>().is_err(), "{text}");
        }
    }
}
