//! The dead-letter topic: records are sent to it ([`topic`], within a limit by kind: [`limiter`]), counted by kind
//! ([`list`]), shown ([`show`]), and sent to their original topic again once the cause is gone ([`replay`]); [`scan`]
//! reads the topic.

mod dead_letter;
pub mod limiter;
pub mod list;
pub mod replay;
mod scan;
pub mod show;
pub mod topic;
