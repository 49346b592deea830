//! Users and products: the [`model`] that all programs share, and a synthetic catalog of them that follows from a seed:
//! [`synthetic`] makes it of [`users`], by [`names`] and [`population`], and of [`products`], by [`categories`].

mod categories;
mod model;
mod names;
mod population;
mod products;
mod synthetic;
mod users;
mod weighted;

pub use model::{Product, ProductId, UNKNOWN, UNKNOWN_GENDER, User, UserId, age_group};
pub use products::{change_product, product_id, synthetic_product};
pub use synthetic::{DEFAULT_PRODUCTS, DEFAULT_SEED, DEFAULT_USERS, SyntheticProducts, SyntheticUsers};
pub use users::{Locale, change_user, synthetic_user, user_id};
