//! Runs the programs of orderflow as users run them, injects faults, and measures.
//!
//! `loadtest` parses its [`settings`], starts each program as a [`process`] or runs it [`interruptible`] to its end,
//! and reads its [`metrics`] over HTTP.
//! [`pipeline`] runs all programs once and audits the result; [`bench`](mod@bench) compares programs of orderflow with
//! other software.
//!
//! A load test is a [`scenario`]: [`run`] sends its orders, [`fault`] breaks and repairs, [`measure`] samples each
//! second, [`view`] shows the run, [`report`] writes and draws it, [`compare`] finds what changed between runs.
//! [`find_max`] is the search for the highest rate that holds.

pub mod bench;
pub mod compare;
pub mod dirty_pages;
pub mod fault;
pub mod find_max;
pub mod interruptible;
pub mod measure;
pub mod metrics;
pub mod pipeline;
pub mod process;
pub mod report;
pub mod run;
pub mod scenario;
pub mod settings;
pub mod view;
