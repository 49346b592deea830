//! Rows into the table: [`bisect`] has a batch inserted and isolates the rows that the table refuses, [`insert`] is the
//! one statement, [`database`] the connection.

pub mod bisect;
pub mod database;
mod insert;
