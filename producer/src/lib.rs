//! Emits synthetic orders to Kafka at an exact rate.
//!
//! The [`settings`] say which orders to send and when. Users and products are [`sample`]d ahead of time; [`generate`]
//! makes an order from each pair and encodes it as a Kafka record. [`pace`] decides when an order is due, [`send`]
//! passes its record to the Kafka client at that time and counts its delivery report. A [`lifecycle`] plans what becomes
//! of the orders; their changes are sent likewise. Every second, [`ledger`] saves the outcomes in the run's ledger.
//! [`report`] shows the progress and, at the end, the summary. [`app`] connects these parts and runs them; all of them
//! use the [`clock`] of the run, its [`random`] numbers, its [`health`] and the names in [`metrics`].
//! The [`trace_sampler`] chooses the orders that are traced; a [`share`] of the orders is parsed for it and for invalid
//! ones.
//! [`catalog_export`] prints the builtin catalog instead of a run, [`lifecycle_export`] the default lifecycle.

pub mod app;
pub mod catalog_export;
pub mod clock;
pub mod generate;
pub mod health;
pub mod ledger;
pub mod lifecycle;
pub mod lifecycle_export;
pub mod metrics;
pub mod pace;
pub mod random;
pub mod report;
pub mod sample;
pub mod send;
pub mod settings;
pub mod share;
pub mod trace_sampler;
