//! The schedule: which order is due when (invariant 2). It knows no clock: whoever sends asks it with the time, so that it
//! can be tested against any pattern of stalls.
//!
//! A [`Rate`] is what a person asks for, a [`Profile`] the number of orders due by each time, [`Arrivals`] the due times
//! that follow from it, and the [`Pacer`] says what to do now.

mod arrivals;
mod pacer;
mod profile;
mod rate;

pub use arrivals::{Arrival, Arrivals, Burst};
pub use pacer::{End, Next, Order, Pace, Pacer, Skipped};
pub use profile::{Profile, Step};
pub use rate::{InvalidRate, Rate};
