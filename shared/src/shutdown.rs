//! The stop signal. Each task takes a token as an argument and ends once the token is cancelled.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Returns a token that the first SIGTERM or SIGINT (Ctrl-C) cancels. A second signal ends the process at once, with
/// exit code 130. Needs a tokio runtime.
///
/// # Errors
/// When the signal handlers can't be installed.
pub fn on_signal() -> std::io::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        for already_stopping in [false, true] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if already_stopping {
                eprintln!("second signal: exiting at once");
                std::process::exit(130);
            }
            tracing::info!("signal received: stopping; a second signal exits at once");
            stop.cancel();
        }
    });
    Ok(token)
}
