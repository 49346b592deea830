//! Inserts rows into the table: [`batch`] inserts a batch and compares repeated orders with the stored ones, [`bisect`]
//! isolates the rows that the table refuses. [`database`] has the connection, [`failure`] the meaning of its errors;
//! [`insert`] and [`stored`] have the statements; [`probe`] and [`trial`] those that are rolled back.

pub mod batch;
pub mod bisect;
pub mod database;
mod failure;
mod insert;
mod probe;
mod stored;
mod trial;
