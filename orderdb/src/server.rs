//! What a PostgreSQL server says about itself and about the database.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio_postgres::Client;

/// Whether rows can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Primary,
    /// It follows a primary.
    Standby,
    /// Its transactions are read-only by default.
    ReadOnly,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Primary => "primary",
            Self::Standby => "standby",
            Self::ReadOnly => "read-only",
        })
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct Server {
    pub version: String,
    pub role: Role,
    pub started_at: DateTime<Utc>,
    /// Its clock.
    pub now: DateTime<Utc>,
    /// `None` when the user may not know it.
    pub size_bytes: Option<i64>,
    pub max_connections: i32,
    /// Since when it counts scans, deletes and so on; `None`: since the database was created.
    pub statistics_since: Option<DateTime<Utc>>,
}

const QUERY: &str = "\
    SELECT current_setting('server_version') AS version, pg_is_in_recovery() AS is_standby, \
        current_setting('default_transaction_read_only')::bool AS is_read_only, \
        pg_postmaster_start_time() AS started_at, clock_timestamp() AS now, \
        CASE WHEN has_database_privilege(current_database(), 'CONNECT') \
            THEN pg_database_size(current_database()) END AS size_bytes, \
        current_setting('max_connections')::int AS max_connections, \
        (SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()) AS statistics_since";

impl Server {
    /// # Errors
    /// When the server does not answer.
    pub async fn read(client: &Client) -> anyhow::Result<Self> {
        let row = client.query_typed_one(QUERY, &[]).await?;
        let version: String = row.get("version");
        let role = match (row.get("is_standby"), row.get("is_read_only")) {
            (true, _) => Role::Standby,
            (false, true) => Role::ReadOnly,
            (false, false) => Role::Primary,
        };
        Ok(Self {
            // Debian adds its own version.
            version: version.split(' ').next().unwrap_or_default().to_owned(),
            role,
            started_at: row.get("started_at"),
            now: row.get("now"),
            size_bytes: row.get("size_bytes"),
            max_connections: row.get("max_connections"),
            statistics_since: row.get("statistics_since"),
        })
    }
}
