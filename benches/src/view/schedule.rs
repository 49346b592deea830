//! The place of a time in the phases of a run.

use std::time::Duration;

use crate::scenario::Phase;

/// Where a run is in its schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct Position<'a> {
    /// Seconds after the first due time; negative before it.
    pub seconds: f64,
    /// Length of all phases.
    pub length: Duration,
    /// `None` before the first due time and after the last phase.
    pub phase: Option<CurrentPhase<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurrentPhase<'a> {
    pub phase: &'a Phase,
    /// From 1.
    pub number: usize,
    pub left: Duration,
}

impl<'a> Position<'a> {
    pub fn new(phases: &'a [Phase], seconds: f64) -> Self {
        let mut end = Duration::ZERO;
        let mut current = None;
        for (phase, number) in phases.iter().zip(1..) {
            end += phase.duration;
            let left = end.as_secs_f64() - seconds;
            if current.is_none() && seconds >= 0.0 && left > 0.0 {
                current =
                    Some(CurrentPhase { phase, number, left: Duration::try_from_secs_f64(left).unwrap_or_default() });
            }
        }
        Self { seconds, length: end, phase: current }
    }

    /// Time since the first due time.
    pub fn elapsed(&self) -> Duration {
        Duration::try_from_secs_f64(self.seconds).unwrap_or_default()
    }

    /// The part of the schedule that is over, 0 to 1.
    pub fn progress(&self) -> f64 {
        if self.length.is_zero() { 0.0 } else { (self.seconds / self.length.as_secs_f64()).clamp(0.0, 1.0) }
    }
}

/// Where each phase begins, as parts of the schedule from 0 to 1.
pub fn beginnings(phases: &[Phase]) -> impl Iterator<Item = (f64, &Phase)> {
    let length: Duration = phases.iter().map(|phase| phase.duration).sum();
    phases.iter().scan(Duration::ZERO, move |end, phase| {
        let begin = *end;
        *end += phase.duration;
        let part = if length.is_zero() { 0.0 } else { begin.as_secs_f64() / length.as_secs_f64() };
        Some((part, phase))
    })
}
