//! Logs on stderr: text for people, JSON for programs.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::{IsTerminal, stderr},
    panic::{self, PanicHookInfo},
};

use clap::ValueEnum;
use tracing::{Subscriber, field};
use tracing_subscriber::{
    EnvFilter, Layer,
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use super::{
    divert::{DivertLayer, stderr_unless_diverted},
    json::JsonLines,
    program_info::ProgramInfo,
};

/// Environment variable of `--log-format`, for a program that starts others.
pub const LOG_FORMAT_VARIABLE: &str = "ORDERFLOW_LOG_FORMAT";

/// The form of the log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

impl LogFormat {
    /// The value of `--log-format` and of [`LOG_FORMAT_VARIABLE`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// How a program logs.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct LogSettings {
    /// Form of the log lines on stderr.
    #[arg(long, env = LOG_FORMAT_VARIABLE, value_enum, default_value_t, global = true, help_heading = "Telemetry")]
    pub log_format: LogFormat,
}

#[derive(Clone, Copy, Debug)]
enum Form {
    Text,
    Json(JsonLines),
}

/// The running log of a program.
#[derive(Clone, Copy, Debug)]
pub struct Logging {
    form: Form,
}

impl Logging {
    /// Starts logging to stderr, at level `info` if `RUST_LOG` is not set. librdkafka's own log lines are off by
    /// default, since the programs report the same events themselves. In the form of JSON, a panic is a line too.
    ///
    /// # Panics
    /// When it is called twice.
    pub fn start(settings: LogSettings, program: ProgramInfo) -> Self {
        let is_text = match settings.log_format {
            LogFormat::Auto => stderr().is_terminal(),
            LogFormat::Text => true,
            LogFormat::Json => false,
        };
        let form = if is_text { Form::Text } else { Form::Json(JsonLines { program }) };
        let filter = EnvFilter::try_from_default_env()
            .unwrap_or_else(|_| EnvFilter::new("info,librdkafka=off,rdkafka=off,tokio_postgres=warn"));
        // At `trace`, it logs the session token of AWS.
        let filter = filter.add_directive("aws_sigv4=debug".parse().expect("the directive is valid"));
        tracing_subscriber::registry().with(filter).with(lines(form, stderr_unless_diverted)).with(DivertLayer).init();
        let logging = Self { form };
        if !is_text {
            panic::set_hook(Box::new(move |panic| logging.panicked(panic)));
        }
        logging
    }

    /// Prints the error that ends the program, with its causes, in one line.
    pub fn failure(&self, error: &anyhow::Error) {
        match self.form {
            Form::Text => eprintln!("error: {error:#}"),
            Form::Json(_) => self.log_unfiltered(|| tracing::error!("{error:#}")),
        }
    }

    /// Logs a panic, with its backtrace where the default hook would print one.
    fn panicked(&self, panic: &PanicHookInfo<'_>) {
        let (thread, backtrace) = (std::thread::current(), Backtrace::capture());
        let thread = thread.name().unwrap_or("unnamed");
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| field::display(backtrace));
        self.log_unfiltered(|| tracing::error!(thread, backtrace, "{panic}"));
    }

    /// Logs what neither `RUST_LOG` nor a diversion may hide.
    fn log_unfiltered(&self, log: impl FnOnce()) {
        let unfiltered = tracing_subscriber::registry().with(lines(self.form, stderr));
        tracing::subscriber::with_default(unfiltered, log);
    }
}

fn lines<S, W>(form: Form, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // It would print a failed write to stderr, which panics when stderr is a terminal that went away.
    let lines = fmt::layer().log_internal_errors(false).with_writer(writer);
    match form {
        Form::Text => lines.with_ansi(stderr().is_terminal()).with_target(false).boxed(),
        Form::Json(json) => lines.event_format(json).boxed(),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use serde_json::Value;

    use super::*;

    #[test]
    fn a_form_has_the_name_by_which_it_is_chosen() {
        for form in LogFormat::value_variants() {
            assert_eq!(LogFormat::from_str(form.name(), false).as_ref(), Ok(form));
        }
    }

    /// Not a test, but the program of the next one.
    #[test]
    #[ignore = "is started by the next test"]
    fn program_that_panics() {
        Logging::start(LogSettings { log_format: LogFormat::Json }, ProgramInfo { program: "test", version: "1.2.3" });
        panic!("lost,\nagain");
    }

    #[test]
    fn a_panic_is_a_line_of_json_whatever_is_filtered() {
        let mut program = Command::new(std::env::current_exe().unwrap());
        program.args(["telemetry::logs::tests::program_that_panics", "--exact", "--ignored", "--nocapture"]);
        let output = program.env("RUST_LOG", "off").env("RUST_BACKTRACE", "1").output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        let line: Value = serde_json::from_str(&log).unwrap_or_else(|error| panic!("{error}: {log}"));
        assert_eq!((&line["level"], &line["program"]), (&"ERROR".into(), &"test".into()), "{line}");
        let message = line["message"].as_str().unwrap();
        assert!(message.contains("logs.rs") && message.ends_with("lost,\nagain"), "{message}");
        assert!(line["thread"].is_string() && line["backtrace"].as_str().is_some_and(|trace| trace.contains("panic")));
    }
}
