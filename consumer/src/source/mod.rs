//! From the topic to the workers. The [`reader`] polls as a member of the [`group`] ([`client`], [`rebalance`]) and
//! dispatches each record, under the handle of its partition's [`assignment`], to the partition's worker. Offsets are
//! stored by [`offset_store`] once the pipeline has committed their records, and committed by [`offset_commit`] and by
//! librdkafka. [`start_position`] checks that the topic has the committed offsets; [`lag`] measures how far each
//! partition is behind.

pub mod assignment;
mod backlog;
mod client;
pub mod group;
pub mod lag;
mod offset_commit;
mod offset_store;
pub mod reader;
mod rebalance;
mod start_position;
