//! From the topic to the workers: a member of the [`group`] ([`client`], [`rebalance`], [`offset_commit`]) is polled by
//! the [`reader`], which dispatches each record, under the handle of its partition's [`assignment`], to the partition's
//! worker. [`start_position`] checks that the topic has the committed offsets, [`lag`] watches how far each partition
//! is behind.

mod assignment;
mod backlog;
mod client;
pub mod group;
pub mod lag;
mod offset_commit;
pub mod reader;
mod rebalance;
mod start_position;
