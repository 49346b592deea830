use super::status::MAX_CHANGES;
use crate::order_id::Sequence;

/// Numbers of one order: more than it can have changes, and a power of two.
const NUMBERS_PER_ORDER: u64 = 8;

const _: () = assert!((MAX_CHANGES as u64) < NUMBERS_PER_ORDER && Sequence::LIMIT <= u64::MAX / NUMBERS_PER_ORDER);

/// The number of a change in its run, as the ledger has it: eight times the number of its order in the run, plus its
/// position in the history of the order. The changes of an order follow each other, so that bitmaps of them are small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangeNumber(u64);

impl ChangeNumber {
    /// Change `sequence` of order `order` of the run; `None` when no order has such a change.
    pub fn new(order: u64, sequence: i32) -> Option<Self> {
        let sequence = u8::try_from(sequence).ok().filter(|sequence| (1..=MAX_CHANGES).contains(sequence))?;
        (order < Sequence::LIMIT).then_some(Self(order * NUMBERS_PER_ORDER + u64::from(sequence)))
    }

    /// The number, as it is in a bitmap.
    pub fn get(self) -> u64 {
        self.0
    }

    /// The order and the position that a number in a bitmap stands for.
    pub fn parts(number: u64) -> (u64, i32) {
        (number / NUMBERS_PER_ORDER, (number % NUMBERS_PER_ORDER) as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_its_order_and_position_and_a_change_that_cannot_be_has_none() {
        for (order, sequence) in [(0, 1), (7, 5), (Sequence::LIMIT - 1, 3)] {
            let number = ChangeNumber::new(order, sequence).unwrap();
            assert_eq!(ChangeNumber::parts(number.get()), (order, sequence));
        }
        for (order, sequence) in [(0, 0), (0, 6), (0, -1), (0, i32::MAX), (Sequence::LIMIT, 1)] {
            assert_eq!(ChangeNumber::new(order, sequence), None, "{order} {sequence}");
        }
    }
}
