//! The meaning of a database error for the rows of an insert.

use shared::database::SqlError;

/// The meaning of a database error for the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The table refuses a row.
    Data,
    /// The table refuses a row, or it accepts no order at all.
    Suspect,
    /// The statement exceeded a timeout: that of the server for statements or locks, or ours.
    TooLong,
    /// The prepared statement does not exist any more: the table changed, or a pooler switched the connection.
    StalePreparedStatement,
    /// The rows are not the cause: the statement is retried.
    Outage,
}

/// Errors about the data: classes 22 (data), 23 (constraint), 44 (check option), and P0001 (raised by a trigger).
const DATA: [&str; 4] = ["22", "23", "44", "P0001"];

/// Errors that no row can cause: connection, transaction state, authorization, database name, rollback (deadlock),
/// resources, prerequisite state, operator intervention, system, configuration file, internal.
const OUTAGES: [&str; 11] = ["08", "25", "28", "3D", "40", "53", "55", "57", "58", "F0", "XX"];

impl Failure {
    pub fn of(error: &SqlError) -> Self {
        let Some(sqlstate) = error.sqlstate() else {
            return if matches!(error, SqlError::Timeout(_)) { Self::TooLong } else { Self::Outage };
        };
        match sqlstate {
            "57014" | "55P03" => Self::TooLong,
            "0A000" | "26000" => Self::StalePreparedStatement,
            _ if DATA.iter().any(|class| sqlstate.starts_with(class)) => Self::Data,
            _ if OUTAGES.iter().any(|class| sqlstate.starts_with(class)) => Self::Outage,
            _ => Self::Suspect,
        }
    }
}
