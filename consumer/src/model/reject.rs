use shared::{database::SqlError, wire::DecodeError};

/// Why a record can't become a row of the table: `pipeline::decode` can't decode it, `pipeline::enrich` finds no user
/// or product, or `sink::bisect` finds that the table refuses the row.
#[derive(Debug, thiserror::Error)]
pub enum RejectReason {
    #[error(transparent)]
    Undecodable(#[from] DecodeError),
    /// Neither the cache nor the database has the user.
    #[error("there is no user {0:?}")]
    UnknownUser(String),
    /// Neither the cache nor the database has the product.
    #[error("there is no product {0:?}")]
    UnknownProduct(String),
    #[error("the table refuses the row: {0}")]
    RefusedByTable(#[from] SqlError),
}

impl RejectReason {
    /// The name by which dead letters are counted.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Undecodable(error) => error.kind(),
            Self::UnknownUser(_) => "unknown_user",
            Self::UnknownProduct(_) => "unknown_product",
            Self::RefusedByTable(_) => "refused_by_table",
        }
    }
}
