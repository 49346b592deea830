//! The schedule: which order is due at which time (invariant 2). Nothing here reads a clock: the caller passes the
//! time, so that the schedule can be tested against any pattern of stalls.
//!
//! A [`Rate`] is parsed from the command line, a [`Profile`] is the number of orders due by each time, [`Arrivals`] are
//! the due times that follow from it, and the [`Pacer`] decides what to do now: send, wait or end. [`tolerance`] is the
//! delay that a run may have.

mod arrivals;
mod pacer;
mod profile;
mod rate;
pub mod tolerance;

pub use arrivals::{Arrival, Arrivals, Burst};
pub use pacer::{End, Next, Order, Pace, Pacer, Skipped};
pub use profile::{Profile, Step};
pub use rate::{InvalidRate, Rate, TargetRate};
