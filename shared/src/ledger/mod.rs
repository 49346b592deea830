//! The run ledger: the files that a producer run leaves in `runs/<run-id>/`, so that the run can be audited later, even
//! when the producer was killed.
//!
//! - `run.json`: id, start time and settings, see [`Run`].
//! - `acknowledged.journal`: which orders were acknowledged, see [`Journal`].
//! - `summary.json`: the result, see [`RunSummary`].
//! - latency logs, see [`crate::latency`].

mod directory;
mod journal;
mod run;
mod run_id;
mod shard;

pub use directory::{Ledger, RunsDirectory};
pub use journal::{Journal, JournalContents, JournalError, read_journal};
pub use run::{Counts, Run, RunSummary, Verdict};
pub use run_id::{InvalidRunId, RunId};
pub use shard::{InvalidShard, Shard};
