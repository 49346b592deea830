//! What is known of a run until now.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use tracing::Level;

use super::{
    model::{Observation, Outline},
    schedule::Position,
};
use crate::measure::Sample;

/// Seconds that the sparklines show at most.
const HISTORY: usize = 300;
/// Events that are kept.
const EVENTS: usize = 200;
/// A sample that is older is no longer the state of the run.
const STALE: TimeDelta = TimeDelta::seconds(4);

/// Everything that the screen and the lines show. It follows from the observations and the time of each.
#[derive(Debug, Default)]
pub struct State {
    pub outline: Arc<Outline>,
    pub step: String,
    pub sample: Option<Arc<Sample>>,
    /// Oldest first.
    pub history: VecDeque<Moment>,
    /// Oldest first.
    pub faults: Vec<FaultInForce>,
    /// Newest first.
    pub events: VecDeque<Event>,
    /// The processes that do not run, and since when.
    pub down: BTreeMap<String, DateTime<Utc>>,
    /// Whether a stop was requested.
    pub is_stopping: bool,
}

/// Orders per second between two samples. `None` where a count fell, as of a program that was started again.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moment {
    /// Time of the later sample, in seconds after the first due time.
    pub seconds: f64,
    pub asked: f64,
    pub sent: Option<f64>,
    pub acknowledged: Option<f64>,
    pub stored: Option<f64>,
    /// Whether a fault was in force.
    pub has_fault: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultInForce {
    pub fault: String,
    pub since: DateTime<Utc>,
    /// `None` for one without a duration.
    pub until: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub at: DateTime<Utc>,
    pub level: Level,
    pub text: String,
}

impl State {
    pub fn observe(&mut self, observation: Observation, now: DateTime<Utc>) {
        match observation {
            Observation::Outline(outline) => self.outline = outline,
            Observation::Step(step) => self.step = step,
            Observation::Sample(sample) => self.add_sample(sample),
            Observation::Event(event) => self.add_event(Level::INFO, event.text, now),
            Observation::FaultBegan { fault, lasting } => {
                self.add_event(Level::WARN, format!("fault: {fault}"), now);
                let until = lasting.and_then(|lasting| now.checked_add_signed(TimeDelta::from_std(lasting).ok()?));
                self.faults.push(FaultInForce { fault, since: now, until });
            }
            Observation::FaultEnded { fault, error } => {
                match error {
                    None => self.add_event(Level::INFO, format!("fault undone: {fault}"), now),
                    Some(error) => self.add_event(Level::ERROR, format!("fault {fault}: {error}"), now),
                }
                if let Some(ended) = self.faults.iter().position(|in_force| in_force.fault == fault) {
                    self.faults.remove(ended);
                }
            }
        }
    }

    /// Adds a line to the events. One that tells the same as another one of the same second is dropped: what is logged
    /// may be observed, too.
    pub fn add_event(&mut self, level: Level, text: String, at: DateTime<Utc>) {
        let recent = |event: &&Event| (at - event.at).abs() < TimeDelta::seconds(1);
        if self.events.iter().take_while(recent).any(|event| event.text == text) {
            return;
        }
        self.events.push_front(Event { at, level, text });
        self.events.truncate(EVENTS);
    }

    /// Where the run is in its schedule. `None` before the first sample.
    pub fn position(&self, now: DateTime<Utc>) -> Option<Position<'_>> {
        let sample = self.sample.as_ref()?;
        // Between two samples the clock goes on.
        let since = (now - sample.at).clamp(TimeDelta::zero(), STALE).as_seconds_f64();
        Some(Position::new(&self.outline.phases, sample.seconds + since))
    }

    /// For how long there has been no sample, when that is too long.
    pub fn stale_for(&self, now: DateTime<Utc>) -> Option<Duration> {
        let age = now - self.sample.as_ref()?.at;
        (age > STALE).then(|| age.to_std().unwrap_or_default())
    }

    /// Records of all partitions that are not stored yet. `None` while no leader answers.
    pub fn lag(&self) -> Option<u64> {
        let lag = &self.sample.as_ref()?.lag;
        (!lag.is_empty()).then(|| lag.iter().map(|partition| partition.records).sum())
    }

    /// Whether a fault in force names this process.
    pub fn has_fault(&self, process: &str) -> bool {
        self.faults.iter().any(|in_force| in_force.fault.split(' ').any(|word| word == process))
    }

    fn add_sample(&mut self, sample: Arc<Sample>) {
        if let Some(before) = &self.sample {
            let seconds = sample.seconds - before.seconds;
            let rate = |count: fn(&Sample) -> u64| {
                let difference = count(&sample).checked_sub(count(before))?;
                (seconds > 0.0).then(|| difference as f64 / seconds)
            };
            self.history.push_back(Moment {
                seconds: sample.seconds,
                asked: sample.asked_rate,
                sent: rate(|sample| sample.sent),
                acknowledged: rate(|sample| sample.acknowledged),
                stored: rate(|sample| sample.stored),
                has_fault: !self.faults.is_empty(),
            });
        }
        let excess = self.history.len().saturating_sub(HISTORY);
        self.history.drain(..excess);
        for process in &sample.processes {
            if process.is_running {
                self.down.remove(&process.name);
            } else {
                self.down.entry(process.name.clone()).or_insert(sample.at);
            }
        }
        self.down.retain(|name, _| sample.processes.iter().any(|process| process.name == *name));
        self.sample = Some(sample);
    }
}
