//! The database's own tool: [`migrate`] makes the schema, [`seed`] fills it with users and products, and [`audit`] holds a
//! producer run against what arrived in Kafka and in the table.

pub mod audit;
pub mod migrate;
pub mod seed;
pub mod settings;
