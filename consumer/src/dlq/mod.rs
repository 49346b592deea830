//! The dead-letter topic: records are sent there ([`writer`], within a limit by kind: [`limiter`]), counted by kind
//! ([`list`]), shown ([`show`]), and put back on their topic once the cause is gone ([`replay`]); [`scan`] reads the
//! topic.

mod dead_letter;
pub mod limiter;
pub mod list;
pub mod replay;
mod scan;
pub mod show;
pub mod writer;
