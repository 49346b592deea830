//! Writes orders and their changes into the tables: [`store`] stores a batch, by one transaction if it can. Else
//! [`batch`] inserts the orders and compares repeated ones with the stored ones, and [`changes`] are written after
//! them; [`bisect`] isolates those that the tables refuse. [`order_sink`] says what the tables can do; [`database`] has
//! the connection, [`failure`] the meaning of its errors; [`insert`] and [`stored`] have the statements for orders;
//! [`probe`] and [`trial`] those that are rolled back.

pub mod batch;
pub mod bisect;
pub mod changes;
pub mod database;
mod failure;
mod insert;
pub mod order_sink;
mod probe;
pub mod store;
mod stored;
mod trial;
