//! The thread of the full-screen view: reads keys, observations and log lines, and draws.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::Utc;
use shared::shutdown;
use tokio::sync::broadcast::{Receiver, error::TryRecvError};
use tokio_util::sync::CancellationToken;

use super::{
    keys::{Key, Keyboard, StopKey},
    logs::Logs,
    model::Observation,
    screen::{Picture, Theme, draw},
    state::State,
    terminal::{self, Screen},
};

/// The least time between two drawings.
const INTERVAL: Duration = Duration::from_millis(250);

/// The view of one run.
pub struct Live {
    pub screen: Screen,
    pub keyboard: Keyboard,
    pub logs: Logs,
    pub observations: Receiver<Observation>,
    pub stop: CancellationToken,
    /// Set when the view has to end.
    pub ended: Arc<AtomicBool>,
}

impl Live {
    /// Draws until the view is ended, or the terminal goes away. Then the terminal is as it was, and what must not be
    /// missed is printed.
    pub fn run(mut self) {
        // Without a terminal there is nothing to draw on, and the run goes on.
        let _ = self.draw_until_ended();
        let Self { screen, logs, .. } = self;
        drop(screen);
        let words = logs.last_words();
        drop(logs);
        for line in words {
            eprintln!("{line}");
        }
    }

    fn draw_until_ended(&mut self) -> std::io::Result<()> {
        let (theme, mut state, mut stop_key) = (Theme::from_environment(), State::default(), StopKey::default());
        let mut drawn_second = 0;
        let mut next_drawing = Instant::now();
        while !self.ended.load(Ordering::Relaxed) && terminal::is_on() {
            let mut changed = self.receive(&mut state);
            let now = Utc::now();
            changed |= state.is_stopping != self.stop.is_cancelled() || now.timestamp() != drawn_second;
            state.is_stopping = self.stop.is_cancelled();
            if changed && Instant::now() >= next_drawing {
                self.screen.draw(|buffer| draw(Picture { state: &state, theme, now }, buffer))?;
                (drawn_second, next_drawing) = (now.timestamp(), Instant::now() + INTERVAL);
            }
            match self.keyboard.next(INTERVAL)? {
                Some(Key::Stop) if stop_key.pressed(&self.stop, Instant::now()) => shutdown::exit_at_once(),
                Some(Key::Redraw) => self.screen.clear()?,
                Some(Key::Stop) | None => {}
            }
        }
        Ok(())
    }

    /// Returns whether there was anything.
    fn receive(&mut self, state: &mut State) -> bool {
        let mut received = false;
        loop {
            match self.observations.try_recv() {
                Ok(observation) => {
                    if let Observation::Outline(outline) = &observation {
                        self.logs.write_to(&outline.logs);
                    }
                    state.observe(observation, Utc::now());
                    received = true;
                }
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        for line in self.logs.take() {
            state.add_event(line.level, line.text, line.at);
            received = true;
        }
        received
    }
}
