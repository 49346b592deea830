//! What every program of orderflow agrees on.
//!
//! An order is modelled in [`order`], about a user and a product of the [`catalog`]; it is named by an [`order_id`] that
//! says when it was due and which run it belongs to, and travels in the [`wire`] form through [`kafka`]; the headers of one
//! that becomes a dead letter are those of [`dlq`]. The users and products come from the [`cache`], which is filled from the
//! [`database`]; [`services`] are all three. What a producer run did is kept in its [`ledger`], how long things took in the
//! [`latency`] logs. All programs retry ([`retry`]), report their health ([`health`], [`telemetry`]), print results
//! ([`report`]), ask for confirmation ([`confirm`]), stop ([`shutdown`]) and exit ([`program`]) in the same way.

#![deny(missing_docs)]

pub mod cache;
pub mod catalog;
pub mod confirm;
pub mod database;
pub mod dlq;
pub mod health;
pub mod kafka;
pub mod latency;
pub mod ledger;
pub mod order;
pub mod order_id;
pub mod program;
pub mod report;
pub mod retry;
pub mod services;
pub mod shutdown;
pub mod telemetry;
pub mod wire;
