//! The latency of each stored order, by the clock of the server.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use chrono::{DateTime, Utc};
use shared::{
    database::{DatabaseSettings, connect},
    latency::{Latencies, LatencySummary},
    ledger::RunSummary,
    order_id::{OrderId, RunTag},
};

/// # Errors
/// When the server does not record commit timestamps.
pub async fn require_commit_timestamps(database: &DatabaseSettings) -> anyhow::Result<()> {
    let row = connect(database).await?.query_one("SHOW track_commit_timestamp", &[]).await?;
    ensure!(
        row.get::<_, &str>(0) == "on",
        "the database {database} does not record when it commits: set track_commit_timestamp = on and restart it \
         (deploy/stack down, then up, for a stack that is older than this setting)"
    );
    Ok(())
}

/// Whether a sink may be behind when its warm-up ends, as in the round that is not measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    Accepted,
    Refused,
}

/// Orders of the warm-up that were due so long before its end must be stored by then.
const CATCH_UP: Duration = Duration::from_secs(1);

/// The latencies, from due to the timestamp of the commit, of the measured orders of a run, which are due from `from` on.
/// The timestamp is taken before the commit is written to the disk, and the row is visible some time after it, for each
/// sink in the same way.
///
/// # Errors
/// When not exactly the acknowledged orders are stored, the sink was still behind when the warm-up ended although that is
/// refused, or the clocks differ so much that an order was stored before it was due.
pub async fn due_to_commit(
    database: &DatabaseSettings,
    tag: RunTag,
    run: &RunSummary,
    from: DateTime<Utc>,
    behind: Behind,
) -> anyhow::Result<LatencySummary> {
    let from = from.timestamp_nanos_opt().context("the time of the run is out of range")?;
    let late = from - CATCH_UP.as_nanos() as i64;
    let microseconds = "(extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000000)::bigint";
    let rows = connect(database).await?.query(&format!("SELECT order_id, {microseconds} FROM orders"), &[]).await?;
    let mut latencies = Latencies::default();
    for row in rows {
        let Some(committed) = row.get::<_, Option<i64>>(1) else { bail!("the time of a commit is lost") };
        let id: OrderId = row.get::<_, &str>(0).parse().context("a row has another id than the producer's")?;
        let (committed, due) = (committed * 1_000, id.due_nanos().cast_signed());
        if id.tag() == tag && id.sequence().get() >= run.warm_up.scheduled {
            latencies.record_nanos(committed - due);
        } else if behind == Behind::Refused {
            ensure!(
                due >= late || committed < from,
                "it had not caught up when the warm-up ended: use a longer --warm-up"
            );
        }
    }
    let summary = latencies.summary();
    ensure!(summary.clock_skew == 0, "{} orders are stored before they are due: the clocks differ", summary.clock_skew);
    let acknowledged = run.counts.acknowledged;
    ensure!(summary.count == acknowledged, "{} of {acknowledged} measured orders are stored", summary.count);
    Ok(summary)
}
