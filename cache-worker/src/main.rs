//! Keeps the Redis cache of users and products fresh.

use std::{process::ExitCode, sync::Arc};

use anyhow::Context;
use cache_worker::{
    health::Health,
    reset::reset,
    schedule::CacheWorker,
    settings::{Action, Command},
    status::status,
};
use shared::{
    program::{self, Outcome},
    shutdown, telemetry,
};

fn main() -> ExitCode {
    program::run(run)
}

async fn run(command: Command) -> anyhow::Result<Outcome> {
    match &command.action {
        Some(Action::Status(settings)) => return status(settings).await,
        Some(Action::Reset(settings)) => return reset(settings).await.map(|()| Outcome::Valid),
        None => {}
    }
    let stop = shutdown::on_signal()?;
    let health = Arc::new(Health::default());
    let readiness = health.clone();
    telemetry::serve(&command.telemetry, Arc::new(move || readiness.ready()), stop.clone()).await?;
    let mut worker = CacheWorker::new(command.aging, command.cache, command.database.settings()?, health)?;
    if command.once {
        stop.run_until_cancelled(worker.once()).await.context("interrupted")??;
    } else {
        worker.run(stop).await;
    }
    Ok(Outcome::Valid)
}
