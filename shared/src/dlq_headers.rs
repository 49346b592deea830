//! The headers of a dead letter. It has them in addition to the headers of the record that was dead-lettered.
//!
//! The timestamp of a dead letter is the time at which it was written: the retention of the dead-letter topic counts
//! from there, and brokers that limit the age of timestamps accept it. The timestamp of the record is in [`TIMESTAMP`].

/// Prefix of the headers that describe a dead letter.
pub const PREFIX: &str = "dlq-";
/// Topic that the record was read from.
pub const TOPIC: &str = "dlq-topic";
/// Partition of the record, decimal.
pub const PARTITION: &str = "dlq-partition";
/// Offset of the record, decimal.
pub const OFFSET: &str = "dlq-offset";
/// Timestamp of the record in milliseconds since the Unix epoch; empty when the record has none. A replayed record has
/// it again.
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
/// SHA-256 of the record's value, hexadecimal; empty when the record has no value. A dead letter has this header only
/// when the topic refused the record itself: the dead letter's value is then a JSON object with the place of the record
/// (`topic`, `partition`, `offset`) and the length and SHA-256 of its value.
pub const VALUE_SHA256: &str = "dlq-value-sha256";
/// SHA-256 of the record's key, hexadecimal. A dead letter has this header only when it lacks the key, which is too
/// long.
pub const KEY_SHA256: &str = "dlq-key-sha256";
/// Number of times that the order was replayed, decimal. It is on the replayed record, and on a later dead letter of
/// it.
pub const REPLAY_COUNT: &str = "replay-count";
/// The place of the record whose dead letter was replayed first: `TOPIC:PARTITION:OFFSET@TIMESTAMP`, the timestamp as
/// in [`TIMESTAMP`]. It is on the replayed record, and on a later dead letter of it.
pub const REPLAY_ORIGIN: &str = "replay-origin";
