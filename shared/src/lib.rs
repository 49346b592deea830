//! The library of all programs of orderflow.
//!
//! The data, in the order in which it moves:
//! - [`catalog`]: users and products, and a synthetic catalog of them.
//! - [`database`]: PostgreSQL, which stores users, products and orders.
//! - [`cache`]: the Redis hashes with a part of the users and products.
//! - [`lookup`]: rows by id, from Redis or else from the database.
//! - [`order`], [`order_id`], [`lifecycle`]: an order event, its id, and the changes of its status.
//! - [`wire`]: the form of these events as Kafka records.
//! - [`kafka`]: topics, client settings and consumer lag.
//! - [`dlq_headers`]: the headers of a dead letter.
//! - [`secret`]: passwords as settings, from the environment or a file; `tls`: whom a client trusts.
//! - [`credentials`]: passwords that are valid for a short time, and their renewal.
//! - [`services`]: the settings of Kafka, Redis and PostgreSQL in one struct.
//!
//! The results of a run:
//! - [`ledger`]: the files of a producer run, for the audit.
//! - [`latency`]: latency histograms and their logs.
//! - [`requirement`]: limits that a user sets for the figures of a run.
//! - [`report`]: the tables that a program prints.
//!
//! Tasks of every program:
//! - [`program`]: start, `.env`, exit codes.
//! - [`confirm`]: confirmation before rows are deleted.
//! - [`retry`]: the delays between retries.
//! - [`health`], [`telemetry`], [`metrics`]: readiness, logs and metrics.
//! - [`traces`]: the spans of sampled orders, for an OpenTelemetry collector.
//! - [`shutdown`]: the stop signal.
//! - [`service_manager`]: notifications to systemd, and its watchdog.

#![deny(missing_docs)]

pub mod cache;
pub mod catalog;
pub mod completions;
pub mod confirm;
pub mod credentials;
pub mod database;
pub mod dlq_headers;
pub mod env_file;
pub mod health;
pub mod kafka;
pub mod latency;
pub mod ledger;
pub mod lifecycle;
pub mod lookup;
pub mod metrics;
pub mod order;
pub mod order_id;
pub mod program;
pub mod report;
pub mod requirement;
pub mod retry;
pub mod secret;
pub mod service_manager;
pub mod services;
pub mod shutdown;
pub mod telemetry;
mod tls;
pub mod traces;
pub mod wire;
