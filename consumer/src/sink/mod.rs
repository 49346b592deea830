//! Inserts rows into the table: [`bisect`] inserts a batch and isolates the rows that the table refuses, [`insert`] has
//! the statement, [`database`] the connection.

pub mod bisect;
pub mod database;
mod insert;
