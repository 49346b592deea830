use std::fmt;

use shared::{database::SqlError, wire::DecodeError};

use super::difference::FieldDifference;

/// Why a record can't become a row of the table: `pipeline::decode` can't decode it, `pipeline::enrich` finds no user
/// or product, `sink::bisect` finds that the table refuses the row, `sink::batch` that it has another order with the
/// id, or `sink::changes` that a change does not fit the history of its order.
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
    /// The order has another change with the same sequence.
    #[error("another change number {sequence} of this order is stored; they differ in {}", texts(.differences))]
    ConflictingChange { sequence: i32, differences: Vec<FieldDifference> },
    /// Neither the batch nor the table has the order.
    #[error("there is no order with this id: `consumer dlq replay` stores the change once the order is stored")]
    UnknownOrder,
    /// No path of transitions has this number of changes.
    #[error(
        "no transitions lead from {from} to {to}: correct what sent the change, or the history of the order. \
         docs/lifecycle.md has the transitions"
    )]
    IllegalTransition { from: HistoryStatus, to: HistoryStatus },
}

/// A status and its sequence in a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryStatus {
    pub sequence: i32,
    pub status: String,
}

impl fmt::Display for HistoryStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sequence, status } = self;
        write!(f, "{status:?} (number {sequence})")
    }
}

fn texts(differences: &[FieldDifference]) -> String {
    differences.iter().map(FieldDifference::to_string).collect::<Vec<_>>().join(", ")
}

impl RejectReason {
    /// All values of [`Self::kind`].
    pub const KINDS: [&'static str; 9] = {
        let [invalid_id, unknown_type, malformed] = DecodeError::KINDS;
        [
            invalid_id,
            unknown_type,
            malformed,
            "unknown_user",
            "unknown_product",
            "refused_by_table",
            "conflicting",
            "unknown_order",
            "illegal_transition",
        ]
    };

    /// The name by which dead letters are counted.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Undecodable(error) => error.kind(),
            Self::UnknownUser(_) => "unknown_user",
            Self::UnknownProduct(_) => "unknown_product",
            Self::RefusedByTable(_) | Self::NotKept => "refused_by_table",
            Self::Conflicting(_) | Self::ConflictingChange { .. } => "conflicting",
            Self::UnknownOrder => "unknown_order",
            Self::IllegalTransition { .. } => "illegal_transition",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_one_of_the_kinds_and_each_kind_a_reason() {
        let decoded = [
            DecodeError::MissingId,
            DecodeError::InvalidId,
            DecodeError::UnreadableHeader,
            DecodeError::UnknownType(String::new()),
            DecodeError::MissingValue,
            DecodeError::IdTooLong,
            DecodeError::NulCharacter,
        ];
        let status = |sequence, status: &str| HistoryStatus { sequence, status: status.to_owned() };
        let (from, to) = (status(0, "paid"), status(1, "delivered"));
        let others = [
            RejectReason::UnknownUser(String::new()),
            RejectReason::UnknownProduct(String::new()),
            RejectReason::RefusedByTable(SqlError::NoRow),
            RejectReason::NotKept,
            RejectReason::Conflicting(Vec::new()),
            RejectReason::ConflictingChange { sequence: 1, differences: Vec::new() },
            RejectReason::UnknownOrder,
            RejectReason::IllegalTransition { from, to },
        ];
        let reasons = decoded.into_iter().map(RejectReason::from).chain(others);
        let mut kinds: Vec<&str> = reasons.map(|reason| reason.kind()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let mut expected = RejectReason::KINDS;
        expected.sort_unstable();
        assert_eq!(kinds, expected);
    }
}
