use roaring::RoaringTreemap;

/// The sequence numbers in a journal, by the results of their orders, and the [`ChangeNumber`]s of changes.
///
/// [`ChangeNumber`]: crate::lifecycle::ChangeNumber
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JournalContents {
    /// Orders that the brokers acknowledged.
    pub acknowledged: RoaringTreemap,
    /// Orders that are not in the topic: librdkafka reported them as not persisted.
    pub failed: RoaringTreemap,
    /// Orders that are invalid on purpose, with any result.
    pub invalid: RoaringTreemap,
    /// Changes that the brokers acknowledged.
    pub changes_acknowledged: RoaringTreemap,
    /// Changes that are not in the topic: librdkafka reported them as not persisted.
    pub changes_failed: RoaringTreemap,
}

impl JournalContents {
    /// Adds all sequence numbers of `other`.
    pub fn add(&mut self, other: Self) {
        self.acknowledged |= other.acknowledged;
        self.failed |= other.failed;
        self.invalid |= other.invalid;
        self.changes_acknowledged |= other.changes_acknowledged;
        self.changes_failed |= other.changes_failed;
    }

    /// Whether there is no number.
    pub fn is_empty(&self) -> bool {
        let Self { acknowledged, failed, invalid, changes_acknowledged, changes_failed } = self;
        [acknowledged, failed, invalid, changes_acknowledged, changes_failed].iter().all(|numbers| numbers.is_empty())
    }
}
