//! What happens in a run, in order: for the report, and at once for those who watch.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use chrono::{DateTime, Utc};

use crate::{
    report::model::Event,
    view::{Observation, Observations},
};

/// The events of a run. Clones share them.
#[derive(Clone)]
pub struct Chronicle {
    shared: Arc<Shared>,
}

struct Shared {
    observations: Observations,
    /// First due time, once it is known.
    start: OnceLock<DateTime<Utc>>,
    events: Mutex<Vec<(DateTime<Utc>, String)>>,
    /// Sentences why the run is not valid, whatever its figures are.
    failures: Mutex<Vec<String>>,
}

impl Chronicle {
    pub fn new(observations: Observations) -> Self {
        let (start, events, failures) = (OnceLock::new(), Mutex::default(), Mutex::default());
        Self { shared: Arc::new(Shared { observations, start, events, failures }) }
    }

    pub fn observations(&self) -> &Observations {
        &self.shared.observations
    }

    /// Sets the first due time; events are told with their distance from it.
    pub fn set_start(&self, start: DateTime<Utc>) {
        let _ = self.shared.start.set(start);
    }

    /// What the run does from now on.
    pub fn step(&self, step: &str) {
        tracing::info!("{step}");
        self.observe(Observation::Step(step.to_owned()));
    }

    /// Something that happened at `at`.
    pub fn event(&self, at: DateTime<Utc>, text: String) {
        self.record(at, text.clone());
        self.tell(at, text);
    }

    /// Something that happened at `at`, of which those who watch are told otherwise.
    pub fn record(&self, at: DateTime<Utc>, text: String) {
        locked(&self.shared.events).push((at, text));
    }

    /// Tells those who watch of an event that is recorded elsewhere.
    pub fn tell(&self, at: DateTime<Utc>, text: String) {
        if let Some(start) = self.shared.start.get() {
            self.observe(Observation::Event(Event { seconds: seconds_after(*start, at), text }));
        }
    }

    /// Something that happened now, and makes the run not valid. `reason` is a sentence without a full stop.
    pub fn failure(&self, reason: String) {
        tracing::warn!("{reason}");
        locked(&self.shared.failures).push(reason.clone());
        self.event(Utc::now(), reason);
    }

    /// The reasons of all failures.
    pub fn failures(&self) -> Vec<String> {
        locked(&self.shared.failures).clone()
    }

    /// All events and `others`, in the order of their times after `start`.
    pub fn events(
        &self,
        start: DateTime<Utc>,
        others: impl IntoIterator<Item = (DateTime<Utc>, String)>,
    ) -> Vec<Event> {
        let mut events = locked(&self.shared.events).clone();
        events.extend(others);
        events.sort_by_key(|(at, _)| *at);
        events.into_iter().map(|(at, text)| Event { seconds: seconds_after(start, at), text }).collect()
    }

    /// Sends something to those who watch.
    pub fn observe(&self, observation: Observation) {
        // Nobody may be watching.
        let _ = self.shared.observations.send(observation);
    }
}

/// Negative for a time before the start.
pub fn seconds_after(start: DateTime<Utc>, at: DateTime<Utc>) -> f64 {
    (at - start).as_seconds_f64()
}

fn locked<Value>(value: &Mutex<Value>) -> MutexGuard<'_, Value> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}
