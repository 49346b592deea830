//! Log lines as JSON: an object with the time, the level, the message and the fields of an event, the program and, if
//! there is one, the run.

use std::{fmt, sync::OnceLock};

use chrono::{SecondsFormat, Utc};
use serde::{Serializer, ser::SerializeMap};
use tracing::{Event, Subscriber};
use tracing_serde::{AsSerde, SerdeMapVisitor};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use super::program_info::ProgramInfo;
use crate::ledger::RunId;

static RUN: OnceLock<String> = OnceLock::new();

/// Adds the run to the JSON lines from now on. A process has one run: later calls have no effect.
pub fn log_run_id(run: &RunId) {
    let _ = RUN.set(run.to_string());
}

/// Formats events as lines of JSON.
#[derive(Clone, Copy, Debug)]
pub(super) struct JsonLines {
    pub program: ProgramInfo,
}

impl JsonLines {
    fn line(&self, event: &Event<'_>) -> serde_json::Result<Vec<u8>> {
        let mut line = Vec::with_capacity(256);
        let mut serializer = serde_json::Serializer::new(&mut line);
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry("timestamp", &Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true))?;
        object.serialize_entry("level", &event.metadata().level().as_serde())?;
        let mut fields = SerdeMapVisitor::new(object);
        event.record(&mut fields);
        let mut object = fields.take_serializer()?;
        let ProgramInfo { program, version } = self.program;
        object.serialize_entry("program", program)?;
        object.serialize_entry("version", version)?;
        // An event may name the run itself.
        if let Some(run) = RUN.get().filter(|_| event.metadata().fields().field("run").is_none()) {
            object.serialize_entry("run", run)?;
        }
        object.end()?;
        Ok(line)
    }
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let line = self.line(event).map_err(|_| fmt::Error)?;
        writeln!(writer, "{}", std::str::from_utf8(&line).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use chrono::DateTime;
    use serde_json::Value;
    use tracing_subscriber::{
        Layer,
        layer::{Context, SubscriberExt},
    };

    use super::*;

    struct Capture {
        format: JsonLines,
        lines: Arc<Mutex<Vec<Value>>>,
    }

    impl<S: Subscriber> Layer<S> for Capture {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let line = self.format.line(event).unwrap();
            assert!(!line.contains(&b'\n'), "{}", String::from_utf8_lossy(&line));
            self.lines.lock().unwrap().push(serde_json::from_slice(&line).unwrap());
        }
    }

    #[test]
    fn a_line_is_an_object_with_the_fields_of_the_event_the_program_and_the_run() {
        let lines = Arc::default();
        let format = JsonLines { program: ProgramInfo { program: "consumer", version: "1.2.3" } };
        let capture = Capture { format, lines: Arc::clone(&lines) };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(capture), || {
            let error = std::io::Error::other("refused,\nagain");
            tracing::warn!(%error, partition = 3, offset = 42_i64, drained = false, "no leader of \"orders\"");
            log_run_id(&"first".parse().unwrap());
            log_run_id(&"second".parse().unwrap());
            tracing::info!("begun");
            tracing::info!(run = "other", "sending");
        });
        let lines = lines.lock().unwrap();
        let mut warning = lines[0].as_object().unwrap().clone();
        let time = warning.remove("timestamp").unwrap();
        assert!(DateTime::parse_from_rfc3339(time.as_str().unwrap()).is_ok(), "{time}");
        let expected = serde_json::json!({
            "level": "WARN",
            "message": "no leader of \"orders\"",
            "error": "refused,\nagain",
            "partition": 3,
            "offset": 42,
            "drained": false,
            "program": "consumer",
            "version": "1.2.3",
        });
        assert_eq!(Value::Object(warning), expected);
        let runs: Vec<&Value> = lines[1..].iter().map(|line| &line["run"]).collect();
        assert_eq!(runs, ["first", "other"]);
    }
}
