//! Stopping is an argument: whoever works takes a token and ends when it is cancelled.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that the first SIGTERM or Ctrl-C cancels. The second one leaves at once, with exit code 130.
///
/// # Errors
/// When the system refuses a signal handler.
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
                eprintln!("second signal: leaving at once");
                std::process::exit(130);
            }
            tracing::info!("stopping; a second signal leaves at once");
            stop.cancel();
        }
    });
    Ok(token)
}
