use std::panic::{AssertUnwindSafe, catch_unwind};

/// The name of a header is not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name of a header is not UTF-8")]
pub struct UnreadableHeader;

/// Runs `read`, which accesses the headers of a record. rust-rdkafka panics at a header whose name is not UTF-8, and
/// any producer may send such a header: every access to the headers of a foreign record must be within this function.
///
/// # Errors
/// [`UnreadableHeader`] when `read` panics.
pub fn read_headers<T>(read: impl FnOnce() -> T) -> Result<T, UnreadableHeader> {
    catch_unwind(AssertUnwindSafe(read)).map_err(|_| UnreadableHeader)
}
