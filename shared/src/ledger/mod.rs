//! What a producer run leaves behind in `runs/<run-id>/`, so that the run can be audited later, even one that was killed:
//! `run.json` (who, when, how), `acknowledged.journal` (which orders), `summary.json` (how it ended), latency logs.

mod journal;
mod run;
mod shard;

pub use journal::{Journal, JournalContents, JournalError, read_journal};
pub use run::{Counts, Ledger, Run, RunId, RunSummary, RunsDirectory, Verdict};
pub use shard::{InvalidShard, Shard};
