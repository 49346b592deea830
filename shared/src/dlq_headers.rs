//! The headers of a dead letter. It has them in addition to the headers of the record that was dead-lettered.

/// Prefix of the headers that describe a dead letter.
pub const PREFIX: &str = "dlq-";
/// Topic that the record was read from.
pub const TOPIC: &str = "dlq-topic";
/// Partition of the record, decimal.
pub const PARTITION: &str = "dlq-partition";
/// Offset of the record, decimal.
pub const OFFSET: &str = "dlq-offset";
/// Timestamp of the record in milliseconds since the Unix epoch; empty when the record has none.
pub const TIMESTAMP: &str = "dlq-timestamp";
/// Kind of the reason, such as `unknown_user`. Dead letters are counted by kind.
pub const KIND: &str = "dlq-kind";
/// The reason as text.
pub const MESSAGE: &str = "dlq-message";
/// SQLSTATE of five characters when PostgreSQL refused the row, else empty.
pub const SQLSTATE: &str = "dlq-sqlstate";
/// Time at which the record was dead-lettered, RFC 3339.
pub const AT: &str = "dlq-at";
/// Consumer instance that dead-lettered the record.
pub const INSTANCE: &str = "dlq-instance";
/// Number of times that the order was replayed, decimal. It is on the replayed record, and on a later dead letter of
/// it.
pub const REPLAY_COUNT: &str = "replay-count";
