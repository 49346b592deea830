//! Rows into the table: one statement a batch, again and again until the table takes it; a row that it refuses is found by
//! bisection and costs no other row (invariants 5 and 7).

use std::sync::Arc;

use shared::database::SqlError;

use crate::{
    enrich::{ProductFacts, UserFacts},
    outage::{GivenUp, Outage},
};

/// An order, enriched.
#[derive(Clone, Debug)]
pub struct OrderRow {
    /// The order.
    pub order: shared::wire::ReceivedOrder,
    /// What it takes over from its user.
    pub user: Arc<UserFacts>,
    /// What it takes over from its product.
    pub product: Arc<ProductFacts>,
}

/// Where rows go.
pub trait Table: Send {
    /// Tries once to put all of `rows` there, those left out that are there already. Waits a while where that is no use right
    /// now.
    fn insert(
        &mut self,
        rows: &[&OrderRow],
        outage: &mut Outage<'_>,
    ) -> impl Future<Output = Result<Answer, GivenUp>> + Send;
}

/// What a table makes of rows.
#[derive(Debug)]
pub enum Answer {
    /// All are there; it took so many, the others were there before.
    Inserted(u64),
    /// None is there: some row is at fault.
    Refused(SqlError),
    /// None is there: they are too many for the server's time limit. Never for a single row.
    TooLong,
    /// Nobody knows what is there: the same again.
    Lost,
}

/// What became of a batch's rows.
#[derive(Debug, Default)]
pub struct Stored {
    /// Rows that the table took; the others but the refused and the dropped ones were there already.
    pub inserted: u64,
    /// Rows that the table refuses, by their place in the batch, and why.
    pub refused: Vec<(usize, SqlError)>,
    /// Rows, by their place in the batch, that are no longer this instance's to store.
    pub dropped: Vec<usize>,
}

/// Stores all rows but those that the table refuses, with O(k log n) statements for k of them, and those that are no longer
/// ours when their turn comes (invariant 9).
///
/// # Errors
/// [`GivenUp`]; some of the rows may be in the table.
pub async fn store(
    table: &mut impl Table,
    rows: &[&OrderRow],
    is_ours: &(dyn Fn(usize) -> bool + Sync),
    outage: &mut Outage<'_>,
) -> Result<Stored, GivenUp> {
    let mut stored = Stored::default();
    let mut to_do: Vec<Vec<usize>> = vec![(0..rows.len()).collect()];
    while let Some(mut part) = to_do.pop() {
        stored.dropped.extend(part.extract_if(.., |row| !is_ours(*row)));
        if part.is_empty() {
            continue;
        }
        let picked: Vec<&OrderRow> = part.iter().map(|row| rows[*row]).collect();
        match table.insert(&picked, outage).await? {
            Answer::Inserted(inserted) => stored.inserted += inserted,
            Answer::Lost => to_do.push(part),
            Answer::Refused(error) if part.len() == 1 => stored.refused.push((part[0], error)),
            answer @ (Answer::Refused(_) | Answer::TooLong) => {
                tracing::debug!(?answer, rows = part.len(), "halving a batch");
                let second = part.split_off(part.len() / 2);
                to_do.extend([second, part]);
            }
        }
    }
    Ok(stored)
}
