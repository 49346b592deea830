//! Users and products. The [`model`] is shared by all programs.
//!
//! A [`synthetic`] catalog is random, and the same for the same seed: its [`users`] are drawn from tables of [`names`]
//! and [`population`], its [`products`] from [`categories`]. A catalog file has a [`row`] per line, whose values must
//! be within the [`limits`] of the tables. A [`region`] follows from an address.

mod categories;
mod limits;
mod model;
mod names;
mod population;
mod products;
mod region;
mod row;
mod synthetic;
mod users;
mod weighted;

pub use limits::{check_product, check_user};
pub use model::{Product, ProductId, UNKNOWN, UNKNOWN_GENDER, User, UserId, age_group};
pub use names::Gender;
pub use products::{change_product, product_id, synthetic_product, synthetic_product_of};
pub use region::region_of;
pub use row::CatalogRow;
pub use synthetic::{DEFAULT_PRODUCTS, DEFAULT_SEED, DEFAULT_USERS, SyntheticProducts, SyntheticUsers};
pub use users::{Locale, UserTraits, change_user, synthetic_user, synthetic_user_with, user_id};
pub use weighted::Weighted;
