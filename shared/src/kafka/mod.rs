//! Kafka: client settings, topics, and the lag of a consumer group.

mod headers;
mod lag;
mod reachability;
mod retention;
mod scan;
mod security;
mod settings;
mod topic;

pub use headers::{UnreadableHeader, read_headers};
pub use lag::{GroupLag, group_lag};
pub use retention::retention;
pub use scan::{scan, scan_unconsumed};
pub use security::{SaslMechanism, SecurityProtocol, SecuritySettings};
pub use settings::KafkaSettings;
pub use topic::{TopicSettings, TopicSpec, dead_letter_topic, ensure_topic, partition_count};
