//! The builtin catalog: synthetic users and products that follow from a seed, without any service.

use shared::catalog::{DEFAULT_PRODUCTS, DEFAULT_SEED, DEFAULT_USERS, SyntheticProducts, user_id};

use super::model::{SampledProduct, SampledUser};

/// Which users and products the builtin catalog has. With the defaults, they are those of a database that was seeded by
/// `orderdb seed` with its defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuiltinCatalog {
    pub users: u64,
    pub products: u64,
    pub seed: u64,
}

impl Default for BuiltinCatalog {
    fn default() -> Self {
        Self { users: DEFAULT_USERS, products: DEFAULT_PRODUCTS, seed: DEFAULT_SEED }
    }
}

impl BuiltinCatalog {
    /// The users. Their ids do not depend on the seed.
    pub fn sampled_users(self) -> Vec<SampledUser> {
        (1..=self.users).map(|number| SampledUser { user_id: user_id(number).into() }).collect()
    }

    pub fn sampled_products(self) -> Vec<SampledProduct> {
        let products = SyntheticProducts::new(self.seed).take(usize::try_from(self.products).unwrap_or(usize::MAX));
        products.map(|product| SampledProduct { product_id: product.product_id, price: product.price }).collect()
    }
}

#[cfg(test)]
mod tests {
    use shared::catalog::{Locale, SyntheticUsers};

    use super::*;

    #[test]
    fn the_builtin_catalog_has_the_ids_and_prices_of_the_synthetic_one() {
        let catalog = BuiltinCatalog { users: 300, products: 200, seed: 7 };
        let users: Vec<_> = SyntheticUsers::new(7, Locale::default()).take(300).map(|user| user.user_id).collect();
        assert_eq!(catalog.sampled_users().into_iter().map(|user| user.user_id).collect::<Vec<_>>(), users);
        let products: Vec<_> = SyntheticProducts::new(7).take(200).collect();
        let sampled = catalog.sampled_products();
        assert_eq!(sampled.len(), products.len());
        for (sampled, product) in sampled.iter().zip(&products) {
            assert_eq!((&sampled.product_id, sampled.price), (&product.product_id, product.price));
        }
    }
}
