//! Start and exit of a program: the `.env` file, logging, the message of a failure, exit codes.

use std::{
    future::Future,
    io::{self, Stdout, Write},
    panic,
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, ValueEnum};

use crate::{
    env_file,
    shutdown::run_before_exit,
    telemetry::{LogSettings, Logging, ProgramInfo},
};

/// Result of a run that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The run is done and its figures are valid: exit code 0.
    Valid,
    /// The run is done but not valid (the rate was missed, an order was lost): exit code 3.
    Invalid,
}

/// A command line that turns out to be wrong only when the program knows what it refers to: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongUsage(pub String);

/// Format of the result on stdout. Logs and progress are on stderr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Tables.
    #[default]
    Text,
    /// One JSON object and nothing else.
    Json,
}

/// The command line of a program.
pub trait ProgramArgs: Parser {
    /// The program's name and version, in its log, its metrics and its traces.
    const PROGRAM: ProgramInfo;

    /// How the program logs.
    fn log_settings(&self) -> LogSettings;
}

/// Environment variable with the path of a file to read instead of `.env`; `/dev/null` for none.
const ENV_FILE: &str = "ORDERFLOW_ENV_FILE";

/// Timeout for the threads that still run at the end.
const THREAD_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// Runs a program: reads `.env`, parses the command line, starts logging, runs `body` and returns the exit code.
///
/// `.env` is looked for in the working directory and its parents. `ORDERFLOW_ENV_FILE` names another file; `/dev/null`
/// for none. A variable that is set already is not overridden by the file.
///
/// Exit codes: that of the [`Outcome`]; 1 when `body` fails, with the error and its causes in one line on stderr; 2
/// when the command line or `.env` is wrong, with a message for people whatever the form of the log lines, or when
/// `body` fails with [`WrongUsage`]; 141, as a program that SIGPIPE ends, when nobody reads stdout any more.
pub fn run<Args, Body, Run>(body: Body) -> ExitCode
where
    Args: ProgramArgs,
    Body: FnOnce(Args) -> Run,
    Run: Future<Output = anyhow::Result<Outcome>>,
{
    let file = std::env::var_os(ENV_FILE).filter(|path| !path.is_empty());
    if let Err(message) = env_file::load(file.as_deref()) {
        eprintln!("error: {message}");
        return ExitCode::from(2);
    }
    let args = Args::parse();
    let logging = Logging::start(args.log_settings(), Args::PROGRAM);
    exit_when_stdout_is_closed();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            logging.failure(&anyhow::Error::from(error).context("the async runtime can't be started"));
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(body(args));
    // At exit, C libraries free memory that their threads may still use, so the threads must end before the process
    // exits. But a blocking call that hangs, such as the close of a client, must not prevent the exit.
    runtime.shutdown_timeout(THREAD_SHUTDOWN_TIMEOUT);
    match result {
        Ok(Outcome::Valid) => ExitCode::SUCCESS,
        Ok(Outcome::Invalid) => ExitCode::from(3),
        Err(error) => {
            logging.failure(&error);
            if error.is::<WrongUsage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

/// Ends the program in silence when the reader of stdout has ended, as `head` does, and with an error when stdout can't be
/// written otherwise: `println!` panics then. SIGPIPE itself would also end it for each connection that a server closes.
fn exit_when_stdout_is_closed() {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if panic.payload_as_str().is_some_and(|message| message.starts_with("failed printing to stdout: Broken pipe")) {
            exit_without_reader();
        }
        if let Some(reason) =
            panic.payload_as_str().and_then(|message| message.strip_prefix("failed printing to stdout: "))
        {
            eprintln!("error: stdout can't be written: {reason}");
            run_before_exit();
            std::process::exit(1);
        }
        hook(panic);
    }));
}

fn exit_without_reader() -> ! {
    run_before_exit();
    std::process::exit(141)
}

/// Standard output for a library that writes. It ends the program when its reader has ended, as `println!` does.
#[derive(Debug)]
pub struct StandardOutput(Stdout);

impl StandardOutput {
    /// That of this process.
    pub fn get() -> Self {
        Self(io::stdout())
    }
}

impl Write for StandardOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).inspect_err(exit_when_closed)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().inspect_err(exit_when_closed)
    }
}

fn exit_when_closed(error: &io::Error) {
    if error.kind() == io::ErrorKind::BrokenPipe {
        exit_without_reader();
    }
}

/// Parses a duration above 0 from a command line, such as `30s` or `1m30s`.
///
/// # Errors
/// A message with the form of a duration.
pub fn positive_duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        Ok(_) => Err("a duration must be above 0".to_owned()),
        Err(error) => Err(format!("{error}; write it as 30s, 1m30s or 500ms")),
    }
}
