//! How a program starts and exits: `.env`, logging, one message for a failure, one meaning for each exit code.

use std::{future::Future, process::ExitCode, time::Duration};

use clap::{Parser, ValueEnum};

use crate::telemetry;

/// How a finished run exits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done, and the figures hold: exit code 0.
    Valid,
    /// Done, but the figures don't hold (a missed rate, a lost order): exit code 3.
    Invalid,
}

/// What goes to stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For a person.
    #[default]
    Text,
    /// One JSON object and nothing else.
    Json,
}

/// How long the threads of a program that has done its work are waited for.
const THREAD_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// Runs a program: reads `.env`, parses the command line (exit code 2 when it is wrong), starts logging, runs `body` and
/// turns its end into an exit code. A failure is printed in one line, its causes after it, and exits with 1.
pub fn run<Args, Body, Run>(body: Body) -> ExitCode
where
    Args: Parser,
    Body: FnOnce(Args) -> Run,
    Run: Future<Output = anyhow::Result<Outcome>>,
{
    // A `.env` that isn't there is fine; one that can't be read is not.
    if let Err(error) = dotenvy::dotenv()
        && !error.not_found()
    {
        // The library's own message quotes the line, which may hold a secret.
        let what = match &error {
            dotenvy::Error::LineParse(_, at) => {
                format!("character {at} of a line is not KEY=value: values with spaces need quotes")
            }
            error => error.to_string(),
        };
        eprintln!("error: .env can't be read: {what}");
        return ExitCode::from(2);
    }
    let args = Args::parse();
    telemetry::start_logging();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: no runtime can be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(body(args));
    // The threads end before the process does: what C libraries clean up at its exit, a thread of theirs or one that called
    // them cleans up as well. But a blocking call that is stuck (a client library closing) must not keep it from ending.
    runtime.shutdown_timeout(THREAD_SHUTDOWN_TIMEOUT);
    match ended {
        Ok(Outcome::Valid) => ExitCode::SUCCESS,
        Ok(Outcome::Invalid) => ExitCode::from(3),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Parses a duration above 0 from a command line, such as `30s` or `1m30s`.
///
/// # Errors
/// Says how to write one.
pub fn positive_duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        Ok(_) => Err("must be more than 0".to_owned()),
        Err(error) => Err(format!("{error}; write it as 30s, 1m30s or 500ms")),
    }
}
