use std::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

/// Logs when spans can't be exported any more, and when they can again.
#[derive(Debug, Default)]
pub struct ExportOutage {
    /// Whether the last export failed.
    fails: AtomicBool,
    /// Spans that were lost by the last export that succeeded.
    lost_before: AtomicU64,
}

impl ExportOutage {
    /// An export succeeded. `lost` spans are lost until now, whether their export failed or the queue was full.
    pub fn succeeded(&self, lost: u64) {
        let lost = lost - self.lost_before.swap(lost, Ordering::Relaxed);
        if self.fails.swap(false, Ordering::Relaxed) {
            tracing::info!(lost, "traces: spans are exported again; those of the meantime are lost");
        }
    }

    /// An export failed.
    pub fn failed(&self, collector: &str, error: impl fmt::Display) {
        if !self.fails.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "traces: spans can't be exported to {collector}: {error}. Those of a failed export are lost, and \
                 further ones once the queue is full. The collector must accept OTLP over HTTP, usually at port 4318"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::{
        Event, Level, Subscriber,
        field::{Field, Visit},
    };
    use tracing_subscriber::{
        Layer,
        layer::{Context, SubscriberExt},
    };

    use super::*;

    /// The level of each line, and the number of lost spans in it.
    type Lines = Vec<(Level, Option<u64>)>;

    struct Capture(Arc<Mutex<Lines>>);

    impl<S: Subscriber> Layer<S> for Capture {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let mut lost = Lost(None);
            event.record(&mut lost);
            self.0.lock().unwrap().push((*event.metadata().level(), lost.0));
        }
    }

    struct Lost(Option<u64>);

    impl Visit for Lost {
        fn record_u64(&mut self, field: &Field, value: u64) {
            self.0 = (field.name() == "lost").then_some(value);
        }

        fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
    }

    #[test]
    fn an_outage_is_two_lines_and_the_second_has_the_number_of_spans_that_were_lost_in_it() {
        let lines = Arc::default();
        let capture = Capture(Arc::clone(&lines));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(capture), || {
            let outage = ExportOutage::default();
            outage.succeeded(0);
            // The queue was full for a moment.
            outage.succeeded(5);
            outage.failed("http://host", "refused");
            outage.failed("http://host", "refused");
            outage.succeeded(35);
            outage.succeeded(35);
            outage.failed("http://host", "refused");
            outage.succeeded(36);
        });
        let expected = [(Level::WARN, None), (Level::INFO, Some(30)), (Level::WARN, None), (Level::INFO, Some(1))];
        assert_eq!(*lines.lock().unwrap(), expected);
    }
}
