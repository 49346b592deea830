//! Kafka as all programs reach it: the settings, the topics and how they must be, and a group's lag.

mod lag;
mod settings;
mod topic;

pub use lag::{GroupLag, group_lag};
pub use settings::KafkaSettings;
pub use topic::{TopicSettings, TopicSpec, ensure_topic, partition_count};
