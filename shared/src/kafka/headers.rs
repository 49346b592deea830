use std::panic::{AssertUnwindSafe, catch_unwind};

/// A header's name is not UTF-8 text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a header's name is not UTF-8 text")]
pub struct UnreadableHeader;

/// Runs `read`, which looks at the headers of a record. rust-rdkafka panics at a header whose name is not UTF-8, which any
/// producer may send.
///
/// # Errors
/// [`UnreadableHeader`] when it panics.
pub fn read_headers<T>(read: impl FnOnce() -> T) -> Result<T, UnreadableHeader> {
    catch_unwind(AssertUnwindSafe(read)).map_err(|_| UnreadableHeader)
}
