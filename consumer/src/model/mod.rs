//! The types that pass between the modules: a [`KafkaRecord`] under the [`PartitionHandle`] of its assignment is an
//! [`InFlightRecord`]; it becomes an [`OrderRow`], or has a [`RejectReason`]. A [`StoredOrder`] is what the table has.

mod in_flight;
mod order_row;
mod partition;
mod record;
mod reject;
mod stored_order;
mod worker_id;

pub use in_flight::InFlightRecord;
pub use order_row::{OrderRow, ProductAttributes, UserAttributes};
pub use partition::PartitionHandle;
pub use record::{KafkaRecord, RecordPosition};
pub use reject::RejectReason;
pub use stored_order::{FieldDifference, StoredOrder};
pub use worker_id::WorkerId;
