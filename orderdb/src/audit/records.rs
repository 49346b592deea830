//! What the records of a topic contain, by the numbers of their orders or changes.

use std::collections::BTreeMap;

use roaring::RoaringTreemap;

use super::{by_sequence::BySequence, digest::Digest};

/// The orders of a run that are in its topic, or the changes. Memory: some 12 bytes per order or change, and 100 per
/// conflicting one.
#[derive(Clone, Debug, Default)]
pub struct Records {
    /// Each order or change once.
    pub numbers: RoaringTreemap,
    /// Records beyond the first of their order or change.
    pub repeats: u64,
    /// Those with records of different content.
    pub conflicting: RoaringTreemap,
    /// Partition and digest of the content of the first record.
    first: BySequence<FirstRecord>,
    /// Other contents of conflicting ones: number and digest, and the partition of the first record with it.
    others: BTreeMap<(u64, Digest), i32>,
}

/// 10 bytes rather than 16: there is one for each order.
#[derive(Clone, Copy, Debug, Default)]
#[repr(Rust, packed(2))]
struct FirstRecord {
    /// 0: none.
    digest: u64,
    partition: u16,
}

/// What the topic says about the content of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A record has it.
    Equal,
    /// No record that may be stored has it.
    Differs,
    /// The topic has no record.
    NoRecord,
}

impl Records {
    /// Adds a record.
    pub fn add(&mut self, number: u64, partition: i32, content: Digest) {
        if self.numbers.insert(number) {
            let partition = partition.cast_unsigned() as u16;
            self.first.set(number, FirstRecord { digest: content.get(), partition });
            return;
        }
        self.repeats += 1;
        if self.first.get(number).digest != content.get() {
            self.conflicting.insert(number);
            self.others.entry((number, content)).or_insert(partition);
        }
    }

    /// Compares the content of a row. If there are records of different contents, the row must have that of the first
    /// one of its partition, or, if one of them is dead-lettered, that of any of them.
    pub fn compare(&self, number: u64, row: Digest, dead_lettered: bool) -> Content {
        let first = self.first.get(number);
        if first.digest == 0 {
            Content::NoRecord
        } else if first.digest == row.get() {
            Content::Equal
        } else {
            let partition = self.others.get(&(number, row)).map(|partition| partition.cast_unsigned() as u16);
            let may_be_stored = partition.is_some_and(|partition| dead_lettered || partition != first.partition);
            if may_be_stored { Content::Equal } else { Content::Differs }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::digest::Digester, *};

    fn records_of(contents: &[(u64, i32, &str)]) -> (Records, Digester) {
        let (mut records, digester) = (Records::default(), Digester::default());
        for (number, partition, content) in contents {
            records.add(*number, *partition, digester.digest(content));
        }
        (records, digester)
    }

    #[test]
    fn a_row_equals_its_record_differs_from_it_or_has_none() {
        let (records, digester) = records_of(&[(0, 3, "a"), (1, 3, "b"), (0, 3, "a")]);
        let compare = |number, row: &str| records.compare(number, digester.digest(&row), false);
        assert_eq!((compare(0, "a"), compare(1, "a")), (Content::Equal, Content::Differs));
        assert_eq!(compare(2, "a"), Content::NoRecord);
        assert_eq!((records.repeats, records.conflicting.len()), (1, 0));
    }

    #[test]
    fn a_row_with_conflicting_records_must_have_the_first_content_of_a_partition() {
        let (records, digester) = records_of(&[(0, 3, "a"), (0, 3, "b"), (0, 5, "c"), (0, 5, "c"), (1, 3, "d")]);
        let compare = |row: &str, dead_lettered| records.compare(0, digester.digest(&row), dead_lettered);
        assert_eq!(records.conflicting.iter().collect::<Vec<_>>(), [0]);
        for (row, expected) in [("a", Content::Equal), ("b", Content::Differs), ("c", Content::Equal)] {
            assert_eq!(compare(row, false), expected, "{row}");
        }
        assert_eq!((compare("b", true), compare("d", true)), (Content::Equal, Content::Differs));
    }
}
