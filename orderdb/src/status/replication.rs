//! The standbys of a primary, or how far a standby is behind.

use serde::Serialize;

use super::session::Session;
use crate::server::Role;

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum ReplicationStatus {
    Primary { standbys: Vec<Standby> },
    Standby { behind_seconds: Option<f64> },
}

#[derive(Debug, Serialize)]
pub struct Standby {
    pub name: String,
    /// `None` when the user may not see it.
    pub state: Option<String>,
    pub sync_state: Option<String>,
    pub behind_bytes: Option<i64>,
    /// `None` when nothing was written lately.
    pub behind_seconds: Option<f64>,
}

const STANDBYS: &str = "\
    SELECT coalesce(application_name, '') AS name, state, sync_state, \
        pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint AS behind_bytes, \
        extract(epoch FROM replay_lag)::float8 AS behind_seconds \
    FROM pg_stat_replication ORDER BY name, pid";

/// The time since the last transaction is no delay while the log is received and all of it is replayed.
const BEHIND: &str = "\
    SELECT CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() \
            AND EXISTS (SELECT FROM pg_stat_wal_receiver WHERE pid IS NOT NULL) THEN 0 \
        ELSE extract(epoch FROM now() - pg_last_xact_replay_timestamp())::float8 END";

/// # Errors
/// When the server refuses a query or does not answer in time.
pub async fn replication(session: &Session, role: Role) -> anyhow::Result<ReplicationStatus> {
    if role == Role::Standby {
        return Ok(ReplicationStatus::Standby { behind_seconds: session.row(BEHIND, &[]).await?.get(0) });
    }
    let standbys = session.rows(STANDBYS, &[]).await?;
    let standbys = standbys.iter().map(|row| Standby {
        name: row.get("name"),
        state: row.get("state"),
        sync_state: row.get("sync_state"),
        behind_bytes: row.get("behind_bytes"),
        behind_seconds: row.get("behind_seconds"),
    });
    Ok(ReplicationStatus::Primary { standbys: standbys.collect() })
}
