//! The random users and products of a seed. `orderdb seed` inserts them, and a producer without Redis draws from them.

use chrono::NaiveDate;
use rand::SeedableRng;
use rand_chacha::ChaCha12Rng;

use super::{
    model::{Product, User},
    products::synthetic_product,
    users::{Locale, synthetic_user},
};

/// Default number of users.
pub const DEFAULT_USERS: u64 = 10_000;
/// Default number of products.
pub const DEFAULT_PRODUCTS: u64 = 2_000;
/// Default seed.
pub const DEFAULT_SEED: u64 = 42;

/// Latest `join_date` of a user. Fixed, so that the same seed makes the same users on any day.
const LAST_JOIN_DATE: NaiveDate = NaiveDate::from_ymd_opt(2026, 1, 1).expect("a day of the calendar");

/// Users 1, 2, 3, … of a seed; never ends.
pub struct SyntheticUsers {
    random: ChaCha12Rng,
    locale: Locale,
    number: u64,
}

impl SyntheticUsers {
    /// The users of `seed`, with names of `locale`.
    pub fn new(seed: u64, locale: Locale) -> Self {
        Self { random: ChaCha12Rng::seed_from_u64(seed), locale, number: 0 }
    }
}

impl Iterator for SyntheticUsers {
    type Item = User;

    fn next(&mut self) -> Option<User> {
        self.number += 1;
        Some(synthetic_user(&mut self.random, self.number, self.locale, LAST_JOIN_DATE))
    }
}

/// Products 1, 2, 3, … of a seed; never ends. They do not depend on the number of users.
pub struct SyntheticProducts {
    random: ChaCha12Rng,
    number: u64,
}

impl SyntheticProducts {
    /// The products of `seed`.
    pub fn new(seed: u64) -> Self {
        Self { random: ChaCha12Rng::seed_from_u64(seed.wrapping_add(1)), number: 0 }
    }
}

impl Iterator for SyntheticProducts {
    type Item = Product;

    fn next(&mut self) -> Option<Product> {
        self.number += 1;
        Some(synthetic_product(&mut self.random, self.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_the_same_catalog_regardless_of_its_length() {
        let users = |count| SyntheticUsers::new(7, Locale::KoKr).take(count).collect::<Vec<_>>();
        assert_eq!(users(100)[..50], users(50));
        let products = |count| SyntheticProducts::new(7).take(count).collect::<Vec<_>>();
        assert_eq!(products(100)[..50], products(50));
        assert_ne!(SyntheticUsers::new(8, Locale::KoKr).next(), SyntheticUsers::new(7, Locale::KoKr).next());
    }
}
