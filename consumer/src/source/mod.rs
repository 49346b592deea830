//! From the topic to the workers. The [`reader`] polls as a member of the [`group`] ([`client`], [`rebalance`]) and
//! dispatches each record, under the handle of its partition's [`assignment`], to the partition's worker, within the
//! [`queue_memory`]; what does not fit waits in the [`backlog`]. Offsets are stored by [`offset_store`] once the pipeline
//! has committed their records, and committed by [`offset_commit`] and by librdkafka. [`starter`] starts each partition
//! at the position that [`start_position`] looks up, and reports [`failed_starts`]; [`lag`] measures how far each
//! partition is behind, [`stored_offsets`] exports up to where it is stored and since when its oldest record waits, and
//! [`retention`] how long the topic keeps it. The [`owner_monitor`] watches the whole group: it asks for the [`owners`]
//! of all partitions, and [`owner_watch`] decides which ones are abandoned.

pub mod assignment;
mod backlog;
mod client;
mod failed_starts;
pub mod group;
pub mod lag;
mod offset_commit;
mod offset_store;
pub mod owner_monitor;
mod owner_watch;
mod owners;
pub mod queue_memory;
pub mod reader;
mod rebalance;
pub mod retention;
mod start_position;
mod starter;
pub mod stored_offsets;
mod watermarks;
