//! Starts, breaks and measures the programs of orderflow.

use std::process::ExitCode;

use anyhow::bail;
use benches::{
    bench::{cache::bench_cache, producer::bench_producer, sink::bench_sink},
    pipeline::pipeline,
    settings::{Action, BenchAction, Command},
};
use shared::{
    program::{self, Outcome},
    shutdown,
};

/// The bare loop has what the producer has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    program::run(run)
}

async fn run(command: Command) -> anyhow::Result<Outcome> {
    let stop = shutdown::on_signal()?;
    match command.action {
        Action::Pipeline(settings) if settings.check_only => Ok(Outcome::Valid),
        Action::Pipeline(settings) => pipeline(*settings, stop).await,
        Action::Bench(BenchAction::Producer(settings)) => {
            match stop.run_until_cancelled(bench_producer(*settings)).await {
                Some(outcome) => outcome,
                None => bail!("interrupted"),
            }
        }
        Action::Bench(BenchAction::Cache(settings)) => bench_cache(*settings, &stop).await,
        Action::Bench(BenchAction::Sink(settings)) => bench_sink(*settings, &stop).await,
    }
}
