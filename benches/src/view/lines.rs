//! The view off a terminal: a log line every few seconds.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Interval, interval},
};

use super::{
    figures,
    model::Observation,
    state::{Moment, State},
};

/// Between two lines.
const INTERVAL: Duration = Duration::from_secs(5);

/// Logs a line every five seconds while there are samples, until the run drops its sender.
pub async fn log_lines(mut observations: Receiver<Observation>) {
    let (mut state, mut ticks) = (State::default(), interval(INTERVAL));
    ticks.tick().await;
    let mut logged = None;
    while let Some(tick) = next(&mut observations, &mut ticks).await {
        match tick {
            Next::Observed(observation) => state.observe(observation, Utc::now()),
            Next::Tick => {
                let sampled = state.sample.as_ref().map(|sample| sample.at);
                if let (true, Some(line)) = (sampled != logged, line(&state, Utc::now())) {
                    tracing::info!("{line}");
                    logged = sampled;
                }
            }
        }
    }
}

enum Next {
    Observed(Observation),
    Tick,
}

/// `None` at the end of the run. Observations that were missed are of no use later.
async fn next(observations: &mut Receiver<Observation>, ticks: &mut Interval) -> Option<Next> {
    loop {
        tokio::select! {
            observed = observations.recv() => match observed {
                Ok(observation) => return Some(Next::Observed(observation)),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            },
            _ = ticks.tick() => return Some(Next::Tick),
        }
    }
}

/// The state in one line. Rates are averages since the last line. `None` before the first sample.
pub fn line(state: &State, now: DateTime<Utc>) -> Option<String> {
    let (sample, position) = (state.sample.as_ref()?, state.position(now)?);
    let mut parts = Vec::new();
    let time = match position.seconds {
        seconds if seconds < 0.0 => format!("first order in {:.0} s", -seconds),
        _ => format!("{} of {}", figures::clock(position.elapsed()), figures::clock(position.length)),
    };
    let phase = position.phase.map_or(state.step.as_str(), |current| current.phase.name.as_str());
    parts.push(format!("{time} {phase}").trim_end().to_owned());
    parts.push(format!(
        "orders/s asked {}, acknowledged {}, stored {}",
        figures::rate(average(state, |moment| Some(moment.asked))),
        figures::rate(average(state, |moment| moment.acknowledged)),
        figures::rate(average(state, |moment| moment.stored)),
    ));
    parts.push(format!("lag {}", state.lag().map_or_else(|| "–".to_owned(), figures::count)));
    let p99 = |stage: &str| {
        let point = sample.recent_latencies.iter().find(|point| point.stage == stage && point.count > 0);
        point.map_or_else(|| "–".to_owned(), |point| format!("{} ms", figures::milliseconds(point.p99)))
    };
    parts.push(format!("10 s p99 ack {}, stored {}", p99("ack"), p99("stored")));
    if !state.down.is_empty() {
        let down: Vec<&str> = state.down.keys().map(String::as_str).collect();
        parts.push(format!("down: {}", down.join(", ")));
    }
    if !state.faults.is_empty() {
        let faults = state.faults.iter().map(|in_force| {
            let left = in_force.until.map(|until| (until - now).to_std().unwrap_or_default());
            let left = left.map_or_else(String::new, |left| format!(" ({} left)", figures::short(left)));
            format!("{}{left}", in_force.fault)
        });
        parts.push(format!("faults in force: {}", faults.collect::<Vec<_>>().join(", ")));
    }
    Some(parts.join(" · "))
}

/// Of the seconds of one interval.
fn average(state: &State, value: fn(&Moment) -> Option<f64>) -> Option<f64> {
    let recent = state.history.iter().rev().take(INTERVAL.as_secs() as usize);
    let values: Vec<f64> = recent.filter_map(value).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
