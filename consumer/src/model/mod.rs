//! The types that pass between the modules: a [`KafkaRecord`] under the [`PartitionHandle`] of its assignment is an
//! [`InFlightRecord`]; it becomes an [`OrderRow`], or has a [`RejectReason`].

mod in_flight;
mod order_row;
mod partition;
mod record;
mod reject;

pub use in_flight::InFlightRecord;
pub use order_row::{OrderRow, ProductAttributes, UserAttributes};
pub use partition::PartitionHandle;
pub use record::{KafkaRecord, RecordPosition};
pub use reject::RejectReason;
