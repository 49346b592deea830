//! Begins and ends the view that the settings and the terminal permit.

use std::{
    io::{IsTerminal, stderr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use anyhow::{Context, ensure};
use tokio::sync::broadcast::Receiver;
use tokio_util::sync::CancellationToken;

use super::{
    keys::Keyboard,
    lines::log_lines,
    live::Live,
    logs::Logs,
    model::{Observation, ViewMode},
    terminal::{Screen, THREAD},
};

/// A view that shows a run until it is dropped. Then the terminal is as it was before.
pub struct View(Kind);

enum Kind {
    Screen { ended: Arc<AtomicBool>, thread: Option<JoinHandle<()>> },
    Lines(tokio::task::JoinHandle<()>),
}

impl View {
    /// Whether `mode` is possible, before anything is started.
    ///
    /// # Errors
    /// When `mode` is `always` and there is no terminal.
    pub fn check(mode: ViewMode) -> anyhow::Result<()> {
        ensure!(
            mode != ViewMode::Always || stderr().is_terminal(),
            "--view always: stderr is no terminal; use --view never for a line every few seconds"
        );
        Ok(())
    }

    /// Starts to show what is observed. The stop key cancels `stop`. Needs a tokio runtime.
    ///
    /// # Errors
    /// When `mode` is `always` and there is no terminal, or it can't be set.
    pub fn start(mode: ViewMode, observations: Receiver<Observation>, stop: CancellationToken) -> anyhow::Result<Self> {
        let is_full_screen = match mode {
            ViewMode::Always => {
                Self::check(mode)?;
                true
            }
            ViewMode::Auto => is_usable(),
            ViewMode::Never => false,
        };
        if !is_full_screen {
            return Ok(Self(Kind::Lines(tokio::spawn(log_lines(observations)))));
        }
        let keyboard = Keyboard::open().context("--view: keys can't be read, since there is no terminal")?;
        let screen = Screen::enter()?;
        let ended = Arc::new(AtomicBool::new(false));
        let live = Live { screen, keyboard, logs: Logs::divert(), observations, stop, ended: Arc::clone(&ended) };
        let thread = thread::Builder::new().name(THREAD.to_owned()).spawn(move || live.run())?;
        Ok(Self(Kind::Screen { ended, thread: Some(thread) }))
    }

    /// Whether it is on the whole screen: then nothing else may write to the terminal.
    pub fn is_full_screen(&self) -> bool {
        matches!(self.0, Kind::Screen { .. })
    }
}

impl Drop for View {
    fn drop(&mut self) {
        match &mut self.0 {
            Kind::Lines(task) => task.abort(),
            Kind::Screen { ended, thread } => {
                ended.store(true, Ordering::Relaxed);
                // A panic of the thread was printed.
                let _ = thread.take().map(JoinHandle::join);
            }
        }
    }
}

/// Whether stdin and stderr are a terminal that can show the view, and this process may set it: one in the background
/// would be stopped by the system.
fn is_usable() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    // An error is a terminal that does not control this process, such as that of `deploy/run`.
    let is_in_background = rustix::termios::tcgetpgrp(stderr()).is_ok_and(|group| group != rustix::process::getpgrp());
    std::io::stdin().is_terminal() && stderr().is_terminal() && !is_dumb && !is_in_background
}
