//! What a delivery report tells about its record (invariant 1).

use rdkafka::{
    Message,
    bindings::{rd_kafka_message_status, rd_kafka_msg_status_t},
    error::KafkaError,
    message::{BorrowedMessage, DeliveryResult},
};

use super::tally::error_name;

/// What became of a record.
#[derive(Debug)]
pub enum DeliveryReport<'a> {
    /// The brokers have it at this place.
    Acknowledged { partition: i32, offset: i64 },
    /// It is certainly not in the log.
    Failed(&'a KafkaError),
    /// It may be in the log; with the name of the error.
    Unknown(String),
}

/// The name under which a record is counted that librdkafka takes to be in the log, but the brokers have not named.
const IMPLICIT_ACKNOWLEDGEMENT: &str = "ImplicitAcknowledgement";

impl<'a> DeliveryReport<'a> {
    pub fn of(result: &'a DeliveryResult<'_>) -> Self {
        match result {
            Ok(message) if has_offset(message) => {
                Self::Acknowledged { partition: message.partition(), offset: message.offset() }
            }
            Ok(message) => {
                tracing::debug!(key = ?message.key_view::<str>(), "a record was not acknowledged itself");
                Self::Unknown(IMPLICIT_ACKNOWLEDGEMENT.to_owned())
            }
            Err((error, message)) => {
                tracing::debug!(%error, key = ?message.key_view::<str>(), "a record was not acknowledged");
                if is_certainly_not_persisted(message) { Self::Failed(error) } else { Self::Unknown(error_name(error)) }
            }
        }
    }
}

/// Whether the brokers have told the offset of the record. Without it, librdkafka has concluded from the
/// acknowledgement of a later record that this one is in the log. It may not be, see [`super::partition_queue`].
pub fn has_offset(message: &BorrowedMessage<'_>) -> bool {
    message.offset() >= 0
}

/// Whether librdkafka reports that the record is not in the log. After any other error it may be there: a timeout may
/// concern the acknowledgement only, and a record that is purged from the queue may have been sent before.
#[allow(unsafe_code, reason = "rust-rdkafka does not expose rd_kafka_message_status")]
fn is_certainly_not_persisted(message: &BorrowedMessage<'_>) -> bool {
    // SAFETY: the message belongs to the event of this delivery report, which `message` borrows from; it is only read.
    let status = unsafe { rd_kafka_message_status(message.ptr()) };
    status == rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_NOT_PERSISTED
}
