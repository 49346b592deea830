//! The full-screen view of a [`Picture`]: the [`header`], and below it panels as the size of the terminal permits.
//! [`layout`] divides the screen, [`draw`] fills it.

mod draw;
mod events;
mod faults;
mod header;
mod lag;
mod latency;
mod layout;
mod picture;
mod processes;
mod rates;
mod theme;

pub use self::{draw::draw, picture::Picture, theme::Theme};
