use roaring::RoaringTreemap;

/// The sequence numbers in a journal, by the results of their orders.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JournalContents {
    /// Orders that the brokers acknowledged.
    pub acknowledged: RoaringTreemap,
    /// Orders that are not in the topic: librdkafka reported them as not persisted.
    pub failed: RoaringTreemap,
    /// Orders that are invalid on purpose, with any result.
    pub invalid: RoaringTreemap,
}

impl JournalContents {
    /// Adds all sequence numbers of `other`.
    pub fn add(&mut self, other: Self) {
        self.acknowledged |= other.acknowledged;
        self.failed |= other.failed;
        self.invalid |= other.invalid;
    }

    /// Whether there is no sequence number.
    pub fn is_empty(&self) -> bool {
        self.acknowledged.is_empty() && self.failed.is_empty() && self.invalid.is_empty()
    }
}
