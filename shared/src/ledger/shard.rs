use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::order_id::RunTag;

/// A part of a run. Several producers can share a run, each with its own shard: `2/4` is the second of four. Shard
/// `i/n` has each `n`th order of the run, from order `i − 1` on, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Shard {
    number: u32,
    of: u32,
}

/// The text is not a valid shard.
#[derive(Debug, thiserror::Error)]
#[error("a shard is NUMBER/COUNT, such as 2/4 for the second of four, with a count of at most {}", Shard::MAX)]
pub struct InvalidShard;

impl FromStr for Shard {
    type Err = InvalidShard;

    fn from_str(text: &str) -> Result<Self, InvalidShard> {
        let (number, of) = text.split_once('/').ok_or(InvalidShard)?;
        let parse = |text: &str| text.parse::<u32>().map_err(|_| InvalidShard);
        let (number, of) = (parse(number)?, parse(of)?);
        if (1..=Self::MAX).contains(&of) && (1..=of).contains(&number) {
            Ok(Self { number, of })
        } else {
            Err(InvalidShard)
        }
    }
}

impl TryFrom<String> for Shard {
    type Error = InvalidShard;

    fn try_from(text: String) -> Result<Self, InvalidShard> {
        text.parse()
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        shard.to_string()
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl Default for Shard {
    fn default() -> Self {
        Self::SINGLE
    }
}

impl Shard {
    /// The only shard of a run with one producer.
    pub const SINGLE: Self = Self { number: 1, of: 1 };
    /// Maximum number of shards of a run.
    pub const MAX: u32 = 1_000;

    /// All shards of the same run, in order.
    pub fn all(self) -> impl Iterator<Item = Self> {
        (1..=self.of).map(move |number| Self { number, of: self.of })
    }

    /// Number of the first order of this shard, counted from 0 in the whole run.
    pub fn first(self) -> u64 {
        u64::from(self.number - 1)
    }

    /// Number of shards of the run, which is the distance between two orders of a shard.
    pub fn stride(self) -> u64 {
        u64::from(self.of)
    }

    /// A random tag for the orders of this shard. It differs from the tag of each other shard of the run, although each
    /// producer draws its own one.
    pub fn random_tag(self) -> RunTag {
        RunTag::random_congruent(self.number - 1, self.of)
    }

    /// Whether order `n` of the run, counted from 0, belongs to this shard.
    pub fn has(self, n: u64) -> bool {
        n % self.stride() == self.first()
    }

    /// How many of the first `orders` orders of the run belong to this shard.
    pub fn share_of(self, orders: u64) -> u64 {
        orders.saturating_sub(self.first()).div_ceil(self.stride())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_order_belongs_to_exactly_one_shard() {
        let one: Shard = "1/3".parse().unwrap();
        for orders in 0..20 {
            let shares: Vec<u64> = one.all().map(|shard| shard.share_of(orders)).collect();
            assert_eq!(shares.iter().sum::<u64>(), orders);
            for (shard, share) in one.all().zip(shares) {
                assert_eq!((0..orders).filter(|n| shard.has(*n)).count() as u64, share);
            }
        }
        assert_eq!((Shard::SINGLE.share_of(7), Shard::SINGLE.has(6)), (7, true));
    }

    #[test]
    fn the_shards_of_a_run_have_different_tags_and_two_runs_of_one_name_as_well() {
        let one: Shard = format!("1/{}", Shard::MAX).parse().unwrap();
        let tags: HashSet<RunTag> = one.all().map(Shard::random_tag).collect();
        assert_eq!(tags.len(), Shard::MAX as usize);
        let tags: HashSet<RunTag> = (0..20).map(|_| Shard::SINGLE.random_tag()).collect();
        assert!(tags.len() > 15, "{tags:?}");
    }

    #[test]
    fn a_text_that_is_no_shard_is_refused() {
        for text in ["", "1", "0/3", "4/3", "1/0", "-1/3", "1/1001", "a/b", "1/3/5"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
        assert_eq!("2/4".parse::<Shard>().unwrap().to_string(), "2/4");
    }
}
