use crate::database::SqlError;

/// Why a row can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The database can't be reached.
    #[error("{0:#}")]
    Connection(anyhow::Error),
    /// The query failed.
    #[error(transparent)]
    Database(#[from] SqlError),
}
