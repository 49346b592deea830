//! Who is connected, and the longest transaction.

use serde::Serialize;

use super::session::Session;

#[derive(Debug, Serialize)]
pub struct SessionStatus {
    /// Client connections of the whole server.
    pub server_connections: i64,
    pub max_connections: i32,
    /// Those to this database, by program and state.
    pub connections: Vec<Connections>,
    pub longest_transaction: Option<Transaction>,
    /// Transactions of other users are not seen: the user is no member of `pg_read_all_stats`.
    pub hides_others: bool,
}

#[derive(Debug, Serialize)]
pub struct Connections {
    pub application: String,
    /// `None` when the user may not see it.
    pub state: Option<String>,
    pub count: i64,
}

/// A transaction of this database.
#[derive(Debug, Serialize)]
pub struct Transaction {
    pub pid: i32,
    pub application: String,
    pub state: Option<String>,
    pub seconds: i64,
    /// What it waits for, such as `Lock: transactionid`.
    pub waits_for: Option<String>,
}

/// The kind of another user's session is hidden from a user without the rights of `pg_read_all_stats`, its database is
/// not.
const SERVER: &str = "SELECT count(*), current_setting('max_connections')::int, \
     count(*) FILTER (WHERE backend_type IS NULL) > 0 FROM pg_stat_activity \
     WHERE datid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'";

const CONNECTIONS: &str = "\
    SELECT coalesce(application_name, '') AS application, state, count(*) AS count FROM pg_stat_activity \
    WHERE coalesce(backend_type, 'client backend') = 'client backend' AND datname = current_database() \
        AND pid <> pg_backend_pid() \
    GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2";

const LONGEST: &str = "\
    SELECT pid, coalesce(application_name, '') AS application, state, \
        extract(epoch FROM clock_timestamp() - xact_start)::bigint AS seconds, \
        wait_event_type || ': ' || wait_event AS waits_for \
    FROM pg_stat_activity \
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL \
        AND backend_type = 'client backend' \
    ORDER BY xact_start LIMIT 1";

/// # Errors
/// When the server refuses a query or does not answer in time.
pub async fn sessions(session: &Session) -> anyhow::Result<SessionStatus> {
    let server = session.row(SERVER, &[]).await?;
    let connections = session.rows(CONNECTIONS, &[]).await?;
    let connections = connections.iter().map(|row| Connections {
        application: row.get("application"),
        state: row.get("state"),
        count: row.get("count"),
    });
    let longest = session.rows(LONGEST, &[]).await?;
    let longest_transaction = longest.first().map(|row| Transaction {
        pid: row.get("pid"),
        application: row.get("application"),
        state: row.get("state"),
        seconds: row.get("seconds"),
        waits_for: row.get("waits_for"),
    });
    Ok(SessionStatus {
        server_connections: server.get(0),
        max_connections: server.get(1),
        connections: connections.collect(),
        longest_transaction,
        hides_others: server.get(2),
    })
}
