use shared::{database::SqlError, wire::DecodeError};

use super::stored_order::FieldDifference;

/// Why a record can't become a row of the table: `pipeline::decode` can't decode it, `pipeline::enrich` finds no user
/// or product, `sink::bisect` finds that the table refuses the row, or `sink::batch` that it has another order with
/// the id.
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
    /// The insert skipped the row, and the table has no order with its id.
    #[error("the table does not keep the row, and reports no error: a trigger or a policy of the table hides it")]
    NotKept,
    /// The table has an order with the same id and other content.
    #[error("another order with this id is stored; they differ in {}", texts(.0))]
    Conflicting(Vec<FieldDifference>),
}

fn texts(differences: &[FieldDifference]) -> String {
    differences.iter().map(FieldDifference::to_string).collect::<Vec<_>>().join(", ")
}

impl RejectReason {
    /// The name by which dead letters are counted.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Undecodable(error) => error.kind(),
            Self::UnknownUser(_) => "unknown_user",
            Self::UnknownProduct(_) => "unknown_product",
            Self::RefusedByTable(_) | Self::NotKept => "refused_by_table",
            Self::Conflicting(_) => "conflicting",
        }
    }
}
