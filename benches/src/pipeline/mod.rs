//! One run of the whole pipeline, with an audit of the result.
//!
//! [`other_members`] looks for programs of an earlier run. [`programs`] starts the cache-worker and the consumers with
//! the [`environment`] of the run and waits for the [`assignment`] of the partitions; [`producer`] sends the orders;
//! [`lag`] waits until the group has committed all of them. All waits have the intervals and the timeout of
//! [`progress`]. [`run`] does this in order, checks the [`requirements`] of the user, and prints the [`summary`] with
//! some [`stored_rows`].

pub mod assignment;
pub mod environment;
pub mod lag;
pub mod other_members;
pub mod producer;
pub mod programs;
pub mod progress;
pub mod requirements;
pub mod run;
pub mod stored_rows;
pub mod summary;
mod warm_up;

pub use self::run::run_pipeline;
