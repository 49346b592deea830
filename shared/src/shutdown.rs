//! The stop signal. Each task takes a token as an argument and ends once the token is cancelled.

use std::{
    io::{IsTerminal, stderr, stdout},
    sync::{Mutex, PoisonError},
};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::telemetry::end_diversion;

/// Returns a token that the first SIGTERM, SIGINT (Ctrl-C) or SIGHUP (the terminal goes away) cancels. After that, a
/// SIGTERM or SIGINT ends the process at once, with exit code 130. A SIGHUP does not: when a terminal goes away, it
/// comes from the shell and again from the system. Nor does it count in a process that was started with SIGHUP ignored,
/// as by `nohup`. Needs a tokio runtime.
///
/// # Errors
/// When the signal handlers can't be installed.
pub fn on_signal() -> std::io::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut hangup = if ignores_hangup() { None } else { Some(signal(SignalKind::hangup())?) };
    let output = Terminals::now();
    let token = CancellationToken::new();
    let stop = token.clone();
    // A panic of the task stops the program: it could not be stopped otherwise.
    let stop_at_panic = token.clone().drop_guard();
    tokio::spawn(async move {
        let _stop_at_panic = stop_at_panic;
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                () = received(hangup.as_mut()) => {
                    output.replace_gone();
                    if stop.is_cancelled() {
                        continue;
                    }
                }
            }
            if stop.is_cancelled() {
                exit_at_once();
            }
            stop.cancel();
            tracing::info!("signal received: stopping; a second signal exits at once");
        }
    });
    Ok(token)
}

static BEFORE_EXIT: Mutex<Vec<fn()>> = Mutex::new(Vec::new());

/// Adds a function that is called before an exit that waits for nothing, such as one that restores the terminal or kills the programs that
/// this process has started.
pub fn before_exit_at_once(function: fn()) {
    BEFORE_EXIT.lock().unwrap_or_else(PoisonError::into_inner).push(function);
}

/// Ends the process with exit code 130, as a second stop signal does.
pub fn exit_at_once() -> ! {
    run_before_exit();
    tracing::warn!("second signal: exiting at once");
    std::process::exit(130)
}

/// Calls the functions of [`before_exit_at_once`].
pub(crate) fn run_before_exit() {
    let functions = std::mem::take(&mut *BEFORE_EXIT.lock().unwrap_or_else(PoisonError::into_inner));
    functions.iter().for_each(|function| function());
    end_diversion();
}

async fn received(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether this process was started with SIGHUP, signal 1, ignored.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    ignored.is_some_and(|signals| signals & 1 != 0)
}

/// Which of stdout and stderr are terminals.
struct Terminals {
    stdout: bool,
    stderr: bool,
}

impl Terminals {
    fn now() -> Self {
        Self { stdout: stdout().is_terminal(), stderr: stderr().is_terminal() }
    }

    /// Replaces a terminal that went away by `/dev/null`: a write to it would be an error, and `println!` would panic.
    fn replace_gone(&self) {
        let now = Self::now();
        let Ok(null) = std::fs::File::options().write(true).open("/dev/null") else { return };
        if self.stdout && !now.stdout {
            let _ = rustix::stdio::dup2_stdout(&null);
        }
        if self.stderr && !now.stderr {
            let _ = rustix::stdio::dup2_stderr(&null);
        }
    }
}
