//! Makes the orders: the [`Generator`] makes an order from a user and a product, a [`Corruption`] makes some of them
//! invalid on purpose, and the [`Encoder`] turns each into a Kafka record. The [`ChangeEncoder`] does so with what becomes
//! of an order later.

mod change_encoder;
mod corruption;
mod encoder;
mod generator;

pub use change_encoder::ChangeEncoder;
pub use corruption::{Corruption, InvalidShare};
pub use encoder::Encoder;
pub use generator::Generator;
