//! Keeps the Redis cache of users and products fresh.

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use cache_worker::{schedule::CacheWorker, settings::Command};
use shared::{
    database::{connect_diesel, migrations::require_tables},
    program::{self, Outcome},
    shutdown, telemetry,
};

fn main() -> ExitCode {
    program::run(run)
}

async fn run(command: Command) -> anyhow::Result<Outcome> {
    let stop = shutdown::on_signal()?;
    let database = command.database.settings()?;
    let mut connection = connect_diesel(&database).await?;
    require_tables(&mut connection, &database).await?;
    let redis = command.cache.connect(Duration::from_secs(10)).await?;
    let fresh = Arc::new(AtomicBool::new(false));
    let readiness = fresh.clone();
    let ready = move || {
        if readiness.load(Ordering::Relaxed) { Ok(()) } else { Err("the last round has not succeeded".to_owned()) }
    };
    telemetry::serve(&command.telemetry, Arc::new(ready), stop.clone()).await?;

    let mut worker =
        CacheWorker { aging: command.aging, cache: command.cache, redis, database, connection: Some(connection) };
    if command.once {
        worker.once().await?;
    } else {
        worker.run(fresh, stop).await;
    }
    Ok(Outcome::Valid)
}
