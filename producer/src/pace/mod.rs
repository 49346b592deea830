//! The schedule: which order is due at which time (invariant 2). Nothing here reads a clock: the caller passes the
//! time, so that the schedule can be tested against any pattern of stalls.
//!
//! A [`Rate`] and a [`Step`] are parsed from the command line, a [`Profile`] is the number of orders due by each time,
//! [`Arrivals`] are the due times that follow from it, and the [`Pacer`] decides what to do now: send, wait or end.
//! [`tolerance`] is the delay that a run may have.

mod arrival;
mod arrivals;
mod burst;
mod pacer;
mod profile;
mod ramp;
mod rate;
mod step;
pub mod tolerance;

pub use arrival::Arrival;
pub use arrivals::Arrivals;
pub use burst::Burst;
pub use pacer::{End, Next, Order, Pace, Pacer, Skipped};
pub use profile::{Profile, TooLong};
pub use rate::{InvalidRate, Rate, TargetRate};
pub use step::{Phase, Step, StepRate};
