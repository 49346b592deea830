//! The changes of a run that are in the table of the histories.

use roaring::RoaringTreemap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    history::{ComparedHistory, HistoryDefect},
    records::Content,
};

/// Wrong histories that the report names.
const MAX_SAMPLE: usize = 10;

/// The changes of a run that are stored, and what is wrong with the histories. Memory does not depend on the number of
/// wrong ones.
#[derive(Clone, Debug, Default)]
pub struct StoredChanges {
    /// Each change once, by its [`ChangeNumber`](shared::lifecycle::ChangeNumber).
    pub numbers: RoaringTreemap,
    /// Rows that differ from their record, or, with number 0, from their order.
    pub altered: u64,
    /// Rows whose record is not in the topic.
    pub without_record: u64,
    /// Orders whose history lacks a number before its last one.
    pub holes: u64,
    /// Orders whose row does not have the last status of the history.
    pub misplaced: u64,
    /// Orders with a transition that is none.
    pub illegal: u64,
    /// Some of these orders.
    pub sample: Vec<WrongHistory>,
}

/// A history that is not what it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WrongHistory {
    pub order_id: String,
    /// What is wrong, such as `number 1 is missing`.
    pub defects: Vec<String>,
}

impl StoredChanges {
    pub fn add(&mut self, order_id: &str, compared: &ComparedHistory) {
        for (number, content) in &compared.changes {
            self.numbers.insert(*number);
            self.without_record += u64::from(*content == Content::NoRecord);
        }
        for defect in &compared.defects {
            *match defect {
                HistoryDefect::Altered { .. } => &mut self.altered,
                HistoryDefect::Hole { .. } => &mut self.holes,
                HistoryDefect::Misplaced { .. } => &mut self.misplaced,
                HistoryDefect::Illegal { .. } => &mut self.illegal,
            } += 1;
        }
        if !compared.defects.is_empty() && self.sample.len() < MAX_SAMPLE {
            let defects = compared.defects.iter().map(ToString::to_string).collect();
            self.sample.push(WrongHistory { order_id: order_id.to_owned(), defects });
        }
    }

    /// Whether there is no change and no wrong history.
    pub fn is_empty(&self) -> bool {
        let Self { numbers, altered, without_record: _, holes, misplaced, illegal, sample: _ } = self;
        numbers.is_empty() && [altered, holes, misplaced, illegal].into_iter().all(|orders| *orders == 0)
    }
}
