//! Order ids. An id has the due time of the order, the tag of its run, and its sequence number in the run.
//!
//! An id is a version 7 UUID (RFC 9562): 48 bits of milliseconds, 12 bits `rand_a` with the fraction of the millisecond
//! (RFC 9562 section 6.2, method 3), and 62 bits `run tag (24) | sequence (38)`. Ids therefore sort by due time,
//! inserts go to the right edge of the index, and the table can be audited against a run without a further column. An
//! order that is created by hand has the tag ffffff, which no run has, and 38 random bits.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

const SEQUENCE_BITS: u32 = 38;
const TAG_BITS: u32 = 24;
const NANOS_PER_MILLI: u64 = 1_000_000;

/// Tag of the orders of one shard of one run: 24 bits, displayed as six hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunTag(u32);

impl RunTag {
    /// The tag of orders that belong to no run: those that are created by hand. No run gets it, so that an audit never
    /// takes such an order for one of its run.
    const NO_RUN: Self = Self((1 << TAG_BITS) - 1);

    /// A random tag.
    pub fn random() -> Self {
        Self::random_congruent(0, 1)
    }

    /// A random one of the tags that are `residue` modulo `modulus`. Tags of different residues differ.
    ///
    /// # Panics
    /// When `residue` is not below `modulus`, or `modulus` is above 2^24.
    pub fn random_congruent(residue: u32, modulus: u32) -> Self {
        assert!(
            residue < modulus && modulus <= 1 << TAG_BITS,
            "{residue} modulo {modulus} is not the residue of a tag"
        );
        // Without the last multiple, which may lead to the tag of no run.
        let multiples = ((1 << TAG_BITS) / modulus - 1).max(1);
        let multiple = rand::random_range(0..multiples) * modulus;
        Self::near(multiple, residue.into())
    }

    /// The tag `seed + n`, modulo 2^24.
    pub fn near(seed: u32, n: u64) -> Self {
        Self(((u64::from(seed) + n) & ((1 << TAG_BITS) - 1)) as u32)
    }
}

impl fmt::Display for RunTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06x}", self.0)
    }
}

/// Sequence number of an order in its run, from 0 to [`Sequence::LIMIT`] − 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sequence(u64);

impl Sequence {
    /// Number of sequence numbers per run tag: 2^38, enough for three days at a million orders per second.
    pub const LIMIT: u64 = 1 << SEQUENCE_BITS;

    /// Sequence number `n`; `None` when `n` is [`Self::LIMIT`] or more.
    pub fn new(n: u64) -> Option<Self> {
        (n < Self::LIMIT).then_some(Self(n))
    }

    /// The number, from 0 to [`Self::LIMIT`] − 1.
    pub fn get(self) -> u64 {
        self.0
    }
}

/// Id of an order of orderflow's producer. Other producers may use any other string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(Uuid);

impl OrderId {
    /// Length of the textual form in bytes.
    pub const TEXT_LEN: usize = 36;

    /// Id of order `sequence` of run `tag`. `due_nanos` is its due time in nanoseconds since the Unix epoch; the id
    /// stores it rounded down to 1/4096 ms.
    pub fn new(due_nanos: u64, tag: RunTag, sequence: Sequence) -> Self {
        let millis = due_nanos / NANOS_PER_MILLI;
        let fraction = (due_nanos % NANOS_PER_MILLI) * 4096 / NANOS_PER_MILLI;
        let high = (millis << 16) | (0x7 << 12) | fraction;
        let low = (0b10 << 62) | (u64::from(tag.0) << SEQUENCE_BITS) | sequence.0;
        Self(Uuid::from_u64_pair(high, low))
    }

    /// A new id of an order that belongs to no run, placed at `at`: the last 38 bits are random.
    pub fn of_no_run(at: DateTime<Utc>) -> Self {
        let nanos = at.timestamp_nanos_opt().and_then(|nanos| u64::try_from(nanos).ok()).unwrap_or(0);
        Self::new(nanos, RunTag::NO_RUN, Sequence(rand::random_range(0..Sequence::LIMIT)))
    }

    /// Writes the textual form (lower case, hyphens) into `buffer`.
    pub fn encode(self, buffer: &mut [u8; Self::TEXT_LEN]) -> &str {
        self.0.hyphenated().encode_lower(buffer)
    }

    /// Due time of the order in nanoseconds since the Unix epoch, rounded down to 1/4096 ms. A time after the year 2554,
    /// which only another producer's id can have, is `u64::MAX`.
    pub fn due_nanos(self) -> u64 {
        let (high, _) = self.0.as_u64_pair();
        // Rounded up to whole nanoseconds, so that an id made from the result is the same id.
        let fraction = ((high & 0xfff) * NANOS_PER_MILLI).div_ceil(4096);
        (high >> 16).saturating_mul(NANOS_PER_MILLI).saturating_add(fraction)
    }

    /// Tag of the run of the order.
    pub fn tag(self) -> RunTag {
        let (_, low) = self.0.as_u64_pair();
        RunTag(((low >> SEQUENCE_BITS) & ((1 << TAG_BITS) - 1)) as u32)
    }

    /// Sequence number of the order in its run.
    pub fn sequence(self) -> Sequence {
        let (_, low) = self.0.as_u64_pair();
        Sequence(low & (Sequence::LIMIT - 1))
    }

    /// Range, as text, of the ids of any run whose due time is between `from` and `to`. Both ends are inclusive, to the
    /// millisecond.
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

/// The text is not a version 7 UUID, so the order is from another producer.
#[derive(Debug, thiserror::Error)]
#[error("not a version 7 UUID")]
pub struct ForeignOrderId;

impl FromStr for OrderId {
    type Err = ForeignOrderId;

    fn from_str(text: &str) -> Result<Self, ForeignOrderId> {
        let uuid = Uuid::try_parse(text).map_err(|_| ForeignOrderId)?;
        if uuid.get_version_num() == 7 { Ok(Self(uuid)) } else { Err(ForeignOrderId) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_id_has_the_due_time_the_tag_and_the_sequence_that_it_was_created_from(
            due in 0..4_000_000_000_000_000_000u64,
            tag in 0..1u32 << TAG_BITS,
            n in 0..Sequence::LIMIT,
        ) {
            let id = OrderId::new(due, RunTag(tag), Sequence(n));
            let parsed: OrderId = id.to_string().parse().unwrap();
            prop_assert_eq!(parsed, id);
            prop_assert_eq!((parsed.tag(), parsed.sequence()), (RunTag(tag), Sequence(n)));
            prop_assert!(due.abs_diff(parsed.due_nanos()) <= NANOS_PER_MILLI / 4096 + 1);
            prop_assert_eq!(OrderId::new(parsed.due_nanos(), RunTag(tag), Sequence(n)), id);
        }

        #[test]
        fn ids_sort_by_due_time_and_lie_in_their_range(
            due in 0..4_000_000_000_000_000_000u64,
            later in 1_000..1_000_000_000_000u64,
        ) {
            let id = |due| OrderId::new(due, RunTag(7), Sequence(9));
            let (first, second) = (id(due), id(due + later));
            prop_assert!(first.to_string() < second.to_string());
            let at = |nanos: u64| DateTime::from_timestamp_nanos(nanos as i64);
            let range = OrderId::text_range(at(due), at(due + later));
            prop_assert!(range.contains(&first.to_string()) && range.contains(&second.to_string()));
        }
    }

    #[test]
    fn no_run_has_the_tag_of_an_order_of_no_run() {
        let at = DateTime::from_timestamp_nanos(1_700_000_000_123_456_789);
        let (first, second) = (OrderId::of_no_run(at), OrderId::of_no_run(at));
        assert_ne!(first, second);
        assert!(at.timestamp_nanos_opt().unwrap().abs_diff(first.due_nanos() as i64) < 250);
        for (residue, modulus) in [(0, 1), (255, 256), ((1 << 23) - 1, 1 << 23)] {
            assert!((0..1_000).all(|_| RunTag::random_congruent(residue, modulus) != first.tag()), "{modulus}");
        }
    }

    #[test]
    fn a_sequence_number_is_below_the_limit() {
        assert!(Sequence::new(Sequence::LIMIT - 1).is_some());
        assert!(Sequence::new(Sequence::LIMIT).is_none());
    }

    #[test]
    fn an_id_of_another_producer_is_a_foreign_one() {
        for text in ["", "order-1", "f47ac10b-58cc-4372-a567-0e02b2c3d479"] {
            assert!(text.parse::<OrderId>().is_err(), "{text}");
        }
    }
}
