//! The headers that a dead letter has beside those of its record.

/// What the name of each header begins with that describes a dead letter.
pub const PREFIX: &str = "dlq-";
/// The topic that the record was read from.
pub const TOPIC: &str = "dlq-topic";
/// The record's partition.
pub const PARTITION: &str = "dlq-partition";
/// The record's offset.
pub const OFFSET: &str = "dlq-offset";
/// The record's timestamp in milliseconds after the Unix epoch, empty when it has none.
pub const TIMESTAMP: &str = "dlq-timestamp";
/// The kind of reason, such as `unknown_user`; dead letters are counted by it.
pub const KIND: &str = "dlq-kind";
/// The reason in words.
pub const MESSAGE: &str = "dlq-message";
/// PostgreSQL's code when the table refused the row, else empty.
pub const SQLSTATE: &str = "dlq-sqlstate";
/// When the record was dead-lettered, RFC 3339.
pub const AT: &str = "dlq-at";
/// The consumer instance that dead-lettered the record.
pub const INSTANCE: &str = "dlq-instance";
/// How often the order was put back on its topic; on the replayed record, and on a later dead letter of it.
pub const REPLAY_COUNT: &str = "replay-count";
