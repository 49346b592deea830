//! The dead-letter topic: records are sent to it ([`topic`], within a limit by kind: [`limiter`]; [`delivery`] sends the
//! [`letter`]s of a batch, each in a [`form`] that the topic accepts), counted by kind ([`list`]), shown ([`show`]), and
//! sent to their original topic again once the cause is gone ([`replay`], [`resend`]). [`scan`] reads the topic, and
//! what became of each [`dead_letter`] since.

mod client;
mod dead_letter;
mod delivery;
mod digest;
mod form;
pub mod letter;
pub mod limiter;
pub mod list;
mod outage;
mod printable;
pub mod replay;
mod resend;
mod scan;
pub mod show;
mod stored;
#[cfg(test)]
mod tests;
pub mod topic;
