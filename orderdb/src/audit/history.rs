//! Compares the history of an order with its row and with the records of its changes.

use std::fmt;

use shared::lifecycle::{ChangeNumber, OrderStatus};

use super::{
    change_fields::ChangeFields,
    digest::Digester,
    records::{Content, Records},
};

/// A status in the history of an order, as a row has it.
#[derive(Clone, Copy, Debug)]
pub struct HistoryRow<'a> {
    pub sequence: i32,
    pub fields: ChangeFields<'a>,
}

/// What the row of an order says about its status.
#[derive(Clone, Copy, Debug)]
pub struct CurrentStatus<'a> {
    pub status: &'a str,
    pub sequence: i32,
    /// In microseconds after the Unix epoch.
    pub created_at: i64,
}

/// What is wrong with the history of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HistoryDefect {
    /// The row of a change differs from its record, or that of number 0 from the order.
    Altered { sequence: i32 },
    /// The history has later rows, but none with this number, and no dead letter has it.
    Hole { sequence: i32 },
    /// Table orders does not have what the history ends with.
    Misplaced { status: String, sequence: i32, last: Option<(String, i32)> },
    /// The first status can't become the second one by so many changes.
    Illegal { from: String, to: String, changes: i32 },
}

impl fmt::Display for HistoryDefect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Altered { sequence: 0 } => f.write_str("number 0 is not as the order was placed"),
            Self::Altered { sequence } => write!(f, "number {sequence} differs from its record"),
            Self::Hole { sequence } => write!(f, "number {sequence} is missing"),
            Self::Misplaced { status, sequence, last } => {
                write!(f, "orders has {sequence} {status}, the history ")?;
                match last {
                    Some((status, sequence)) => write!(f, "ends with {sequence} {status}"),
                    None => f.write_str("has no row"),
                }
            }
            Self::Illegal { from, to, changes: 1 } => write!(f, "{to} follows {from}"),
            Self::Illegal { from, to, changes } => write!(f, "{to} follows {from} after {changes} changes"),
        }
    }
}

/// The result for the history of one order.
#[derive(Debug, Default)]
pub struct ComparedHistory {
    /// The stored changes by their [`ChangeNumber`]s, with what the topic says about each.
    pub changes: Vec<(u64, Content)>,
    pub defects: Vec<HistoryDefect>,
}

/// Compares `rows`, ordered by their numbers, of the order `order` of a run. A change is dead-lettered when
/// `is_dead_lettered` says so of its number.
pub fn compare(
    order: u64,
    current: &CurrentStatus<'_>,
    rows: &[HistoryRow<'_>],
    topic: &Records,
    digester: &Digester,
    is_dead_lettered: impl Fn(u64) -> bool,
) -> ComparedHistory {
    let mut compared = ComparedHistory::default();
    for HistoryRow { sequence, fields } in rows {
        let number = ChangeNumber::new(order, *sequence).map(ChangeNumber::get);
        let is_altered = match number {
            None if *sequence == 0 => fields.occurred_at != current.created_at || !fields.reason.is_empty(),
            // No producer sends such a change.
            None => true,
            Some(number) => {
                let content = topic.compare(number, digester.digest(fields), is_dead_lettered(number));
                compared.changes.push((number, content));
                content == Content::Differs
            }
        };
        if is_altered {
            compared.defects.push(HistoryDefect::Altered { sequence: *sequence });
        }
    }
    let is_replayable =
        |sequence| ChangeNumber::new(order, sequence).is_some_and(|number| is_dead_lettered(number.get()));
    compared.defects.extend(hole(rows, is_replayable).map(|sequence| HistoryDefect::Hole { sequence }));
    compared.defects.extend(misplaced(current, rows.last()));
    compared.defects.extend(rows.windows(2).find_map(|pair| illegal(&pair[0], &pair[1])));
    compared
}

/// The first number that is missing before the last one. A dead letter is not lost: a replay fills its place.
fn hole(rows: &[HistoryRow<'_>], is_dead_lettered: impl Fn(i32) -> bool) -> Option<i32> {
    let has_row = |sequence: i32| rows.binary_search_by_key(&sequence, |row| row.sequence).is_ok();
    (0..rows.last()?.sequence).find(|sequence| !has_row(*sequence) && !is_dead_lettered(*sequence))
}

fn misplaced(current: &CurrentStatus<'_>, last: Option<&HistoryRow<'_>>) -> Option<HistoryDefect> {
    let is_right = match last {
        Some(last) => (last.fields.status, last.sequence) == (current.status, current.sequence),
        None => current.sequence == 0,
    };
    (!is_right).then(|| HistoryDefect::Misplaced {
        status: current.status.to_owned(),
        sequence: current.sequence,
        last: last.map(|last| (last.fields.status.to_owned(), last.sequence)),
    })
}

fn illegal(earlier: &HistoryRow<'_>, later: &HistoryRow<'_>) -> Option<HistoryDefect> {
    let status = |row: &HistoryRow<'_>| row.fields.status.parse::<OrderStatus>();
    let changes = later.sequence.saturating_sub(earlier.sequence);
    let is_legal = match (status(earlier), status(later)) {
        (Ok(from), Ok(to)) => from.leads_to(to, changes.unsigned_abs()),
        _ => false,
    };
    (!is_legal).then(|| HistoryDefect::Illegal {
        from: earlier.fields.status.to_owned(),
        to: later.fields.status.to_owned(),
        changes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Number and status of each row.
    type Rows = [(i32, &'static str)];

    const SENT: &Rows = &[(0, "paid"), (1, "processing"), (2, "shipped")];
    const CREATED_AT: i64 = 1_000;

    fn row((sequence, status): (i32, &'static str)) -> HistoryRow<'static> {
        let occurred_at = CREATED_AT + i64::from(sequence);
        HistoryRow { sequence, fields: ChangeFields { status, reason: "", occurred_at } }
    }

    /// Compares with what was [`SENT`] as order 7.
    fn compare_rows(current: (i32, &str), rows: &[HistoryRow<'_>]) -> (ComparedHistory, Vec<String>) {
        compare_with_dead_letters(current, rows, |_| false)
    }

    fn compare_with_dead_letters(
        current: (i32, &str),
        rows: &[HistoryRow<'_>],
        is_dead_lettered: impl Fn(u64) -> bool,
    ) -> (ComparedHistory, Vec<String>) {
        let (mut topic, digester) = (Records::default(), Digester::default());
        for sent in SENT[1..].iter().map(|sent| row(*sent)) {
            let number = ChangeNumber::new(7, sent.sequence).unwrap();
            topic.add(number.get(), 0, digester.digest(&sent.fields));
        }
        let current = CurrentStatus { status: current.1, sequence: current.0, created_at: CREATED_AT };
        let compared = compare(7, &current, rows, &topic, &digester, is_dead_lettered);
        let defects = compared.defects.iter().map(ToString::to_string).collect();
        (compared, defects)
    }

    fn defects(current: (i32, &str), rows: &Rows) -> Vec<String> {
        compare_rows(current, &rows.iter().map(|stored| row(*stored)).collect::<Vec<_>>()).1
    }

    #[test]
    fn a_history_as_it_was_sent_has_no_defect_nor_has_an_order_without_changes() {
        assert!(defects((2, "shipped"), SENT).is_empty());
        assert!(defects((0, "paid"), &[]).is_empty());
        let (compared, _) = compare_rows((2, "shipped"), &[row(SENT[0]), row(SENT[1]), row(SENT[2])]);
        assert_eq!(compared.changes, [(57, Content::Equal), (58, Content::Equal)]);
    }

    #[test]
    fn each_defect_is_named_with_its_number() {
        for (current, rows, expected) in [
            ((1, "processing"), SENT, &["orders has 1 processing, the history ends with 2 shipped"][..]),
            ((2, "paid"), SENT, &["orders has 2 paid, the history ends with 2 shipped"]),
            ((2, "shipped"), &[], &["orders has 2 shipped, the history has no row"]),
            ((2, "shipped"), &[SENT[0], SENT[2]], &["number 1 is missing"]),
            ((2, "shipped"), &[SENT[1], SENT[2]], &["number 0 is missing"]),
            ((1, "refunded"), &[SENT[0], (1, "refunded")], &["number 1 differs from its record"]),
            (
                (1, "delivered"),
                &[SENT[0], (1, "delivered")],
                &["number 1 differs from its record", "delivered follows paid"],
            ),
            (
                (6, "paid"),
                &[SENT[0], (6, "paid")],
                &["number 6 differs from its record", "number 1 is missing", "paid follows paid after 6 changes"],
            ),
        ] {
            assert_eq!(defects(current, rows), expected, "{current:?} {rows:?}");
        }
    }

    #[test]
    fn a_dead_letter_in_the_middle_of_a_history_is_no_hole() {
        let defects = |stored: &[(i32, &'static str)], dead: i32| {
            let rows: Vec<_> = stored.iter().map(|stored| row(*stored)).collect();
            let dead = ChangeNumber::new(7, dead).unwrap().get();
            compare_with_dead_letters((2, "shipped"), &rows, |number| number == dead).1
        };
        assert!(defects(&[SENT[0], SENT[2]], 1).is_empty());
        assert_eq!(defects(&[SENT[0], SENT[2]], 2), ["number 1 is missing"]);
        assert_eq!(defects(&[SENT[2]], 1), ["number 0 is missing"]);
    }

    #[test]
    fn number_0_has_the_time_of_the_order_and_no_reason() {
        let [mut placed, first, second] = [SENT[0], SENT[1], SENT[2]].map(row);
        for (added, reason) in [(1, ""), (0, "because")] {
            placed.fields = ChangeFields { occurred_at: CREATED_AT + added, reason, ..placed.fields };
            let (_, defects) = compare_rows((2, "shipped"), &[placed, first, second]);
            assert_eq!(defects, ["number 0 is not as the order was placed"]);
        }
    }

    #[test]
    fn a_change_with_another_time_or_reason_is_altered_and_one_without_a_record_is_told() {
        let [placed, mut first, second] = [SENT[0], SENT[1], SENT[2]].map(row);
        first.fields.reason = "because";
        let (_, defects) = compare_rows((2, "shipped"), &[placed, first, second]);
        assert_eq!(defects, ["number 1 differs from its record"]);
        let more = [placed, row(SENT[1]), second, row((3, "delivered"))];
        let (compared, defects) = compare_rows((3, "delivered"), &more);
        assert_eq!((compared.changes[2], defects.len()), ((59, Content::NoRecord), 0));
    }
}
