//! Stores changes of orders: [`classify`] decides by the history of one order, [`plan`] collects what a batch writes,
//! [`statements`] has the SQL, and [`transaction`] the order of the statements. [`invalidation`] tells Redis.

pub mod classify;
pub mod invalidation;
pub mod plan;
pub mod statements;
pub mod transaction;
