//! Keeps the Redis cache of users and products fresh.

use std::process::ExitCode;

use anyhow::Context;
use cache_worker::{
    metrics,
    reset::reset,
    schedule::{CacheWorker, MAX_CONNECTIONS},
    settings::{Action, Command},
    status::status,
};
use shared::{
    database::export_connection_limit,
    program::{self, Outcome, ProgramArgs},
    service_manager, shutdown, telemetry,
};

fn main() -> ExitCode {
    program::run(run)
}

async fn run(command: Command) -> anyhow::Result<Outcome> {
    match &command.action {
        Some(Action::Status(settings)) => return status(settings).await,
        Some(Action::Reset(settings)) => return reset(settings).await.map(|()| Outcome::Valid),
        Some(Action::Completions(settings)) => return settings.print::<Command>(),
        None => {}
    }
    let stop = shutdown::on_signal()?;
    let mut worker = CacheWorker::new(command.aging, command.cache, command.database.settings()?)?;
    telemetry::serve(&command.telemetry, Command::PROGRAM, worker.health().source(), stop.clone()).await?;
    metrics::register();
    export_connection_limit(MAX_CONNECTIONS);
    if command.once {
        stop.run_until_cancelled(worker.once()).await.context("interrupted")??;
    } else {
        let notifications = service_manager::notify(worker.health().source(), worker.heartbeat().clone(), &stop);
        worker.run(stop).await;
        notifications.close().await;
    }
    Ok(Outcome::Valid)
}
