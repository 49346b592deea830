//! `loadtest`: runs the pipeline, and compares its programs with other software.

use std::process::ExitCode;

use benches::{
    bench::{
        bare_loop::run_bare_loop, cache::bench_cache, connections::bench_connections, indexes::bench_indexes,
        latency::bench_latency, producer::bench_producer, sink::bench_sink,
    },
    compare::{run_compare, run_gate},
    find_max::run_find_max,
    pipeline::run_pipeline,
    process,
    report::draw_reports,
    run::run_command,
    scenario,
    settings::{Action, BenchAction, Command, PipelineSettings},
};
use shared::{
    program::{self, Outcome},
    shutdown,
};

/// The allocator of the producer, so that the bare loop has no other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    program::run(run)
}

async fn run(command: Command) -> anyhow::Result<Outcome> {
    let stop = shutdown::on_signal()?;
    shutdown::before_exit_at_once(process::kill_all);
    match command.action {
        Action::Run(settings) => run_command(*settings, stop).await,
        Action::Pipeline(settings) if settings.check_only => Ok(Outcome::Valid),
        Action::Pipeline(settings) => {
            run_pipeline(PipelineSettings { log_format: command.log.log_format, ..*settings }, stop).await
        }
        Action::List(settings) => scenario::print_library(settings.output),
        Action::Report(settings) => draw_reports(&settings),
        Action::Bench(BenchAction::Producer(settings)) => bench_producer(*settings, &stop).await,
        Action::Bench(BenchAction::BareLoop(settings)) => run_bare_loop(*settings, &stop).await,
        Action::Bench(BenchAction::Cache(settings)) => bench_cache(*settings, &stop).await,
        Action::Bench(BenchAction::Sink(settings)) => bench_sink(*settings, &stop).await,
        Action::Bench(BenchAction::Latency(settings)) => bench_latency(*settings, &stop).await,
        Action::Bench(BenchAction::Indexes(settings)) => bench_indexes(*settings, &stop).await,
        Action::Bench(BenchAction::Connections(settings)) => bench_connections(*settings, &stop).await,
        Action::FindMax(settings) => run_find_max(*settings, stop).await,
        Action::Compare(settings) => run_compare(&settings, &stop).await,
        Action::Gate(settings) => run_gate(&settings),
        Action::Completions(settings) => settings.print::<Command>(),
    }
}
