//! The types that pass between the modules: a [`KafkaRecord`] under the [`PartitionHandle`] of its assignment is an
//! [`InFlightRecord`]; it becomes an [`OrderRow`] or a change of one, or has a [`RejectReason`]. A [`StoredOrder`] and a
//! [`StoredChange`] are what the tables have.

mod difference;
mod in_flight;
mod order_row;
mod partition;
mod record;
mod reject;
mod stored_change;
mod stored_order;
mod worker_id;

pub use difference::FieldDifference;
pub use in_flight::InFlightRecord;
pub use order_row::{OrderRow, ProductAttributes, UserAttributes};
pub use partition::PartitionHandle;
pub use record::{KafkaRecord, RecordKind, RecordPosition};
pub use reject::{HistoryStatus, RejectReason};
pub use stored_change::StoredChange;
pub use stored_order::StoredOrder;
pub use worker_id::WorkerId;
