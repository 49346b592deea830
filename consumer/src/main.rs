//! Stores orders from Kafka in PostgreSQL, each exactly once.

use std::process::ExitCode;

use consumer::{
    app::{run_consumer, run_dlq_command},
    settings::{Action, Command},
};
use shared::{
    program::{self, Outcome},
    shutdown,
};

fn main() -> ExitCode {
    program::run(run)
}

async fn run(mut command: Command) -> anyhow::Result<Outcome> {
    let stop = shutdown::on_signal()?;
    match command.action.take() {
        Some(Action::Dlq(action)) => run_dlq_command(action, stop).await,
        Some(Action::Completions(settings)) => settings.print::<Command>(),
        None => run_consumer(command, stop).await,
    }
}
