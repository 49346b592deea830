//! What every program of orderflow agrees on.
//!
//! An order is modelled in [`order`], about a user and a product of the [`catalog`]; it is named by an [`order_id`] that
//! says when it was due and which run it belongs to, and travels in the [`wire`] form through [`kafka`]. The users and
//! products come from the [`cache`], which is filled from the [`database`]. What a producer run did is kept in its
//! [`ledger`], how long things took in the [`latency`] logs. [`retry`], [`shutdown`], [`telemetry`], [`report`],
//! [`confirm`] and [`program`] are the one way in which all programs wait for a dependency, stop, tell, ask and exit.

#![deny(missing_docs)]

pub mod cache;
pub mod catalog;
pub mod confirm;
pub mod database;
pub mod kafka;
pub mod latency;
pub mod ledger;
pub mod order;
pub mod order_id;
pub mod program;
pub mod report;
pub mod retry;
pub mod shutdown;
pub mod telemetry;
pub mod wire;
