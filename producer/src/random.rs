//! The random numbers of a run: all of them follow from its seed.
//!
//! Both algorithms are specified, so that a seed yields the same numbers in each version of the producer: the stream
//! cipher ChaCha8, and Xoshiro256++ seeded by SplitMix64 for the figures of an order. ChaCha8 alone would take a tenth
//! of the time of an order, since each order has a generator of its own.

use rand::{Rng, SeedableRng, rngs::Xoshiro256PlusPlus};
use rand_chacha::ChaCha8Rng;

/// A generator of the random numbers of a run.
pub type RunRandom = ChaCha8Rng;

/// The generator of the random numbers of an order.
pub type OrderRandom = Xoshiro256PlusPlus;

/// What random numbers are drawn for. Each purpose has numbers of its own, whatever is drawn for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The seeds of the orders.
    Orders,
    /// The intervals of a Poisson process.
    Arrivals,
    /// The order of the rows in a snapshot of the cache.
    Snapshot,
    /// The seeds of what becomes of the orders.
    Lifecycles,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Arrivals => "arrivals",
            Self::Snapshot => "snapshot",
            Self::Lifecycles => "lifecycles",
        }
    }
}

/// The generator of `seed` for `purpose`, at its beginning: ChaCha8 with stream 0. Its key of 32 bytes is the seed in
/// little-endian order, and the name of the purpose filled up with zeros.
pub fn run_random(seed: u64, purpose: Purpose) -> RunRandom {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..8 + purpose.name().len()].copy_from_slice(purpose.name().as_bytes());
    ChaCha8Rng::from_seed(key)
}

/// The generators of the orders of a run. The seed of order n is the nth number of 64 bits of the run's generator: an
/// order does not depend on the orders before it, nor on the shard that makes it.
pub struct OrderRandoms {
    seeds: RunRandom,
    /// The order whose seed comes next.
    next: u64,
}

impl OrderRandoms {
    pub fn new(seed: u64) -> Self {
        Self { seeds: run_random(seed, Purpose::Orders), next: 0 }
    }

    /// The generators of what becomes of the orders. An order's figures do not depend on it.
    pub fn of_lifecycles(seed: u64) -> Self {
        Self { seeds: run_random(seed, Purpose::Lifecycles), next: 0 }
    }

    /// The generator of order `number`. Fast when `number` follows the one before.
    pub fn of(&mut self, number: u64) -> OrderRandom {
        if number != self.next {
            self.seeds.set_word_pos(u128::from(number) * 2);
        }
        self.next = number + 1;
        OrderRandom::seed_from_u64(self.seeds.next_u64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_and_purposes_have_numbers_of_their_own() {
        let first = |seed, purpose| run_random(seed, purpose).next_u64();
        let mut numbers: Vec<u64> = [Purpose::Orders, Purpose::Arrivals, Purpose::Snapshot, Purpose::Lifecycles]
            .into_iter()
            .flat_map(|purpose| (0..100).map(move |seed| first(seed, purpose)))
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 400);
    }

    #[test]
    fn an_order_has_the_same_numbers_whichever_orders_were_made_before_it() {
        let mut all = OrderRandoms::new(7);
        let in_sequence: Vec<u64> = (0..200).map(|number| all.of(number).next_u64()).collect();
        let mut some = OrderRandoms::new(7);
        for number in [3, 4, 5, 100, 31, 32, 33, 0, 199, 199] {
            assert_eq!(some.of(number).next_u64(), in_sequence[number as usize], "{number}");
        }
    }

    /// The beginning of ChaCha8's output for a key of zeros, as published with the cipher.
    #[test]
    fn the_numbers_are_those_of_the_cipher() {
        let mut zeros = ChaCha8Rng::from_seed([0; 32]);
        let mut first = [0; 16];
        zeros.fill_bytes(&mut first);
        assert_eq!(u128::from_be_bytes(first), 0x3e00_ef2f_895f_40d6_7f5b_b8e8_1f09_a5a1);
    }
}
