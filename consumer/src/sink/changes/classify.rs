//! What becomes of the changes of one order, by its history alone: no Kafka, no PostgreSQL. Times decide nothing, since
//! clocks go back.

use std::{borrow::Cow, collections::BTreeMap};

use chrono::{DateTime, Utc};
use shared::lifecycle::{OrderStatus, OrderStatusChanged};

use crate::model::{HistoryStatus, RejectReason, StoredChange};

/// What the row of an order says.
#[derive(Clone, Copy, Debug)]
pub struct OrderState<'a> {
    /// Any text, since other programs may write to the table.
    pub status: &'a str,
    pub sequence: i32,
    /// None for a time that chrono can't represent, such as infinity.
    pub created_at: Option<DateTime<Utc>>,
}

/// The stored history of an order, by sequence. It may be empty, since an order without changes has none; or it is not
/// read, which is enough for changes above the sequence of the order.
pub type History = BTreeMap<i32, StoredChange>;

/// What becomes of a change.
#[derive(Debug)]
pub enum Verdict {
    /// It belongs to the history from now on.
    Stored,
    /// The history has it already, with the same content.
    Duplicate,
    Rejected(RejectReason),
}

/// A row that is added to the history of an order.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryRow<'a> {
    pub sequence: i32,
    pub status: &'a str,
    pub reason: &'a str,
    pub occurred_at: DateTime<Utc>,
}

/// What becomes of an order and of its changes.
#[derive(Debug, Default)]
pub struct ClassifiedChanges<'a> {
    /// In the order of the changes.
    pub verdicts: Vec<Verdict>,
    pub rows: Vec<HistoryRow<'a>>,
    /// The sequence and the status of the order from now on, unless they stay as they are.
    pub latest: Option<(i32, &'a str)>,
}

/// A status that the history has, or gets by this batch.
struct Known<'a> {
    status: &'a str,
    /// None when only the row of the order tells of it.
    content: Option<Cow<'a, StoredChange>>,
}

/// Classifies `changes`, sorted by sequence and then by position. A change may skip sequences, since a later record
/// may fill the gap, in any order. It is legal when the transitions lead from the status before it to its own, and from
/// there to the status after it, by as many changes as their sequences differ.
pub fn classify<'a>(
    state: OrderState<'a>,
    history: &'a History,
    changes: &[&'a OrderStatusChanged],
) -> ClassifiedChanges<'a> {
    let stored = |change: &'a StoredChange| Known { status: &change.status, content: Some(Cow::Borrowed(change)) };
    let mut known: BTreeMap<i32, Known<'a>> = history.iter().map(|(at, change)| (*at, stored(change))).collect();
    // The row of the order has its current status, also after a correction by hand.
    known.entry(state.sequence).or_insert(Known { status: state.status, content: None }).status = state.status;
    let mut classified = ClassifiedChanges::default();
    for change in changes {
        let verdict = judge(&known, change);
        if matches!(verdict, Verdict::Stored) {
            classified.rows.extend(placed_row(state, history, &classified.rows, change));
            classified.rows.push(row_of(change));
            let content = Some(Cow::Owned(StoredChange::from(*change)));
            known.insert(change.sequence, Known { status: change.status.as_str(), content });
        }
        classified.verdicts.push(verdict);
    }
    let latest = known.last_key_value().map(|(sequence, known)| (*sequence, known.status));
    classified.latest = latest.filter(|(sequence, _)| *sequence > state.sequence);
    classified
}

fn judge(known: &BTreeMap<i32, Known<'_>>, change: &OrderStatusChanged) -> Verdict {
    let sequence = change.sequence;
    let differences = match known.get(&sequence) {
        None => return judge_transitions(known, change),
        Some(Known { content: Some(content), .. }) => content.differences(change),
        // The history lacks the row of the current status.
        Some(Known { status, content: None }) if *status == change.status.as_str() => return Verdict::Stored,
        Some(Known { status, content: None }) => {
            let stored = StoredChange { status: (*status).to_owned(), ..StoredChange::from(change) };
            stored.differences(change)
        }
    };
    if differences.is_empty() {
        Verdict::Duplicate
    } else {
        Verdict::Rejected(RejectReason::ConflictingChange { sequence, differences })
    }
}

fn judge_transitions(known: &BTreeMap<i32, Known<'_>>, change: &OrderStatusChanged) -> Verdict {
    let own = (change.sequence, change.status.as_str());
    let status = |(sequence, known): (&i32, &Known<'_>)| (*sequence, known.status.to_owned());
    let before = known.range(..change.sequence).next_back().map(status);
    let after = known.range(change.sequence..).next().map(status);
    let before = before.as_ref().map(|(sequence, status)| ((*sequence, status.as_str()), own));
    let after = after.as_ref().map(|(sequence, status)| (own, (*sequence, status.as_str())));
    match [before, after].into_iter().flatten().find(|(from, to)| !leads_to(*from, *to)) {
        None => Verdict::Stored,
        Some((from, to)) => {
            let status = |(sequence, status): (i32, &str)| HistoryStatus { sequence, status: status.to_owned() };
            Verdict::Rejected(RejectReason::IllegalTransition { from: status(from), to: status(to) })
        }
    }
}

/// Whether the transitions lead from one status of a history to a later one. From a text that is no status, none does.
fn leads_to((before, from): (i32, &str), (after, to): (i32, &str)) -> bool {
    let (Ok(from), Ok(to)) = (from.parse::<OrderStatus>(), to.parse()) else { return false };
    from.leads_to(to, before.abs_diff(after))
}

/// Number 0 of the history, when `change` is the first one of its order.
fn placed_row<'a>(
    state: OrderState<'a>,
    history: &History,
    rows: &[HistoryRow<'a>],
    change: &OrderStatusChanged,
) -> Option<HistoryRow<'a>> {
    let is_missing = state.sequence == 0 && !history.contains_key(&0) && rows.is_empty();
    let occurred_at = state.created_at.unwrap_or(change.occurred_at);
    is_missing.then_some(HistoryRow { sequence: 0, status: state.status, reason: "", occurred_at })
}

fn row_of(change: &OrderStatusChanged) -> HistoryRow<'_> {
    HistoryRow {
        sequence: change.sequence,
        status: change.status.as_str(),
        reason: &change.reason,
        occurred_at: change.occurred_at,
    }
}

#[cfg(test)]
mod tests;
