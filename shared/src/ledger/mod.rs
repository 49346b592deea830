//! The run ledger: the files that a producer run leaves in `runs/<run-id>/`, so that the run can be audited later, even
//! when the producer was killed.
//!
//! - `run.json`: id, start time and settings, see [`Run`].
//! - `acknowledged.journal`: which orders were acknowledged, see [`Journal`].
//! - `summary.json`: the result, see [`RunSummary`].
//! - latency logs, see [`crate::latency`].

mod consistency;
mod contents;
mod entry;
mod journal;
mod run;
mod run_id;
mod runs_folder;
mod shard;

pub use contents::JournalContents;
pub use journal::{Journal, JournalError, read_journal};
pub use run::{ChangesSummary, Counts, Run, RunSummary, StallSummary, Verdict};
pub use run_id::{InvalidRunId, RunId};
pub use runs_folder::{Ledger, RunsFolder};
pub use shard::{InvalidShard, Shard};
