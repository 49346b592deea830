//! Log lines that go somewhere else than to stderr for a while, as for a program that draws on the whole screen.

use std::{
    io::Stderr,
    sync::{Arc, RwLock},
};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    Layer,
    fmt::{FormatFields, format::DefaultFields, format::Writer, writer::OptionalWriter},
    layer::Context,
};

type Receiver = Arc<dyn Fn(Level, &str) + Send + Sync>;

static RECEIVER: RwLock<Option<Receiver>> = RwLock::new(None);

/// Passes each log line to `receiver` (its level, and its message with its fields) until the guard is dropped. Until then
/// nothing is logged to stderr. The receiver must not log.
#[must_use = "the lines go to stderr again when it is dropped"]
pub fn divert_logs(receiver: impl Fn(Level, &str) + Send + Sync + 'static) -> DivertedLogs {
    set(Some(Arc::new(receiver)));
    DivertedLogs(())
}

/// While it exists, log lines do not go to stderr.
pub struct DivertedLogs(());

impl Drop for DivertedLogs {
    fn drop(&mut self) {
        set(None);
    }
}

/// Lets the lines go to stderr again, for a process that ends without dropping the guard.
pub(crate) fn end_diversion() {
    set(None);
}

fn set(receiver: Option<Receiver>) {
    *RECEIVER.write().unwrap_or_else(std::sync::PoisonError::into_inner) = receiver;
}

fn receiver() -> Option<Receiver> {
    RECEIVER.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
}

/// Stderr, or nothing while the lines are diverted.
pub(super) fn stderr_unless_diverted() -> OptionalWriter<Stderr> {
    match receiver() {
        Some(_) => OptionalWriter::none(),
        None => OptionalWriter::some(std::io::stderr()),
    }
}

/// Passes the lines to the receiver.
pub(super) struct DivertLayer;

impl<S: Subscriber> Layer<S> for DivertLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let Some(receiver) = receiver() else { return };
        let mut line = String::new();
        if DefaultFields::new().format_fields(Writer::new(&mut line), event).is_ok() {
            receiver(*event.metadata().level(), &line);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn lines_are_diverted_until_the_guard_is_dropped_and_stderr_gets_none_of_them() {
        let is_written = || matches!(stderr_unless_diverted(), OptionalWriter::A(_));
        let lines = Arc::new(Mutex::new(Vec::new()));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(DivertLayer), || {
            tracing::info!("before");
            let received = Arc::clone(&lines);
            let diverted = divert_logs(move |level, line| received.lock().unwrap().push(format!("{level} {line}")));
            tracing::warn!(partition = 3, "no leader");
            assert!(!is_written());
            drop(diverted);
            tracing::info!("after");
            assert!(is_written());
            let _diverted = divert_logs(|_, _| panic!("the process ends"));
            end_diversion();
            tracing::warn!("the last line");
            assert!(is_written());
        });
        assert_eq!(*lines.lock().unwrap(), ["WARN no leader partition=3"]);
    }
}
