//! The phases of a run by their times.

use chrono::{DateTime, TimeDelta, Utc};

use crate::scenario::Phase;

/// The phases of a run, the due time of its first order, and when its load ended.
#[derive(Clone, Debug)]
pub struct Schedule {
    pub first_due: DateTime<Utc>,
    pub phases: Vec<PhaseTime>,
}

/// A phase and its times, in seconds after the first due time.
#[derive(Clone, Debug, PartialEq)]
pub struct PhaseTime {
    pub name: String,
    pub start: f64,
    pub end: f64,
    pub measured: bool,
    /// Orders due per second, on average.
    pub asked_rate: f64,
}

impl Schedule {
    /// The phases until the load `ended`, at the end of the schedule or earlier, when the run was stopped. A phase that
    /// had not begun is left out; that which was stopped ends then.
    pub fn new(first_due: DateTime<Utc>, phases: &[Phase], ended: DateTime<Utc>) -> Self {
        let ended = (ended - first_due).as_seconds_f64();
        let (mut times, mut start) = (Vec::new(), 0.0);
        for phase in phases {
            let length = phase.duration.as_secs_f64();
            let end = ended.min(start + length);
            if end > start {
                // The rate at the end of a ramp that was stopped.
                let to = phase.from + (phase.to - phase.from) * (end - start) / length;
                let (name, measured) = (phase.name.clone(), phase.measured);
                times.push(PhaseTime { name, start, end, measured, asked_rate: f64::midpoint(phase.from, to) });
            }
            start += length;
        }
        Self { first_due, phases: times }
    }

    /// Seconds after the first due time.
    pub fn seconds(&self, at: DateTime<Utc>) -> f64 {
        (at - self.first_due).as_seconds_f64()
    }

    pub fn time(&self, seconds: f64) -> DateTime<Utc> {
        self.first_due + TimeDelta::nanoseconds((seconds * 1e9) as i64)
    }

    /// The index of the phase in which a latency was recorded. What was recorded after the last phase, while the
    /// consumers stored what was left, is in the last phase. `None` without phases.
    pub fn phase_at(&self, seconds: f64) -> Option<usize> {
        let begun = self.phases.iter().filter(|phase| phase.start <= seconds).count();
        (!self.phases.is_empty()).then(|| begun.saturating_sub(1))
    }

    /// Begin of the measured phases, in seconds.
    pub fn measured_start(&self) -> f64 {
        self.phases.iter().find(|phase| phase.measured).map_or(f64::INFINITY, |phase| phase.start)
    }

    /// End of the load, in seconds.
    pub fn load_end(&self) -> f64 {
        self.phases.last().map_or(0.0, |phase| phase.end)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::scenario::Arrival;

    #[test]
    fn a_run_that_was_stopped_has_the_phases_until_then() {
        let phase = |name: &str, from, to, seconds, measured| Phase {
            name: name.to_owned(),
            from,
            to,
            duration: Duration::from_secs(seconds),
            arrival: Arrival::Constant,
            measured,
        };
        let phases = [
            phase("warm-up", 100.0, 100.0, 10, false),
            phase("ramp", 0.0, 1_000.0, 20, true),
            phase("steady", 5.0, 5.0, 5, true),
        ];
        let first_due = DateTime::from_timestamp(1_000, 0).unwrap();
        let until = |seconds| Schedule::new(first_due, &phases, first_due + TimeDelta::seconds(seconds));
        let times = |schedule: &Schedule| -> Vec<_> {
            schedule.phases.iter().map(|it| (it.name.clone(), it.start, it.end, it.asked_rate)).collect()
        };
        let time = |name: &str, start, end, rate| (name.to_owned(), start, end, rate);
        let whole = until(36);
        let expected =
            [time("warm-up", 0.0, 10.0, 100.0), time("ramp", 10.0, 30.0, 500.0), time("steady", 30.0, 35.0, 5.0)];
        assert_eq!(times(&whole), expected);
        assert_eq!((whole.measured_start(), whole.load_end()), (10.0, 35.0));
        let at = [-1.0, 0.0, 9.9, 10.0, 29.9, 30.0, 99.0].map(|seconds| whole.phase_at(seconds).unwrap());
        assert_eq!(at, [0, 0, 0, 1, 1, 2, 2]);
        assert_eq!(times(&until(20)), [time("warm-up", 0.0, 10.0, 100.0), time("ramp", 10.0, 20.0, 250.0)]);
        assert_eq!(until(-1).phase_at(0.0), None);
    }
}
