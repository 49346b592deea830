//! What the optional indexes of table `orders` cost the consumer: the same orders into a table with each
//! [`set`] of them. [`rounds`] runs them in turns and prints the [`result`].

mod result;
mod rounds;
mod set;

pub use self::rounds::bench_indexes;
