//! Inserts rows into the table: [`batch`] inserts a batch and compares repeated orders with the stored ones, [`bisect`]
//! isolates the rows that the table refuses, [`insert`] and [`stored`] have the statements, [`database`] the connection.

pub mod batch;
pub mod bisect;
pub mod database;
mod insert;
mod stored;
