//! Commits the stored offsets to the group at a revoke and at a stop. In between, librdkafka commits them every second
//! (`enable.auto.commit` in [`client`](super::client)).

use rdkafka::{
    consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
};

/// Commits every stored offset, and returns once the coordinator has answered.
pub fn commit_stored_offsets<C: ConsumerContext>(consumer: &BaseConsumer<C>) {
    match consumer.commit_consumer_state(CommitMode::Sync) {
        // Nothing new to commit is success.
        Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
        Err(error) => {
            tracing::warn!(
                %error,
                "Kafka: offsets not committed; the next owner reads these records again and counts them as duplicates"
            );
        }
    }
}
