//! The command line of `loadtest`.

mod bench;
mod pipeline;
mod run;

use clap::{Parser, Subcommand};

pub use bench::{BenchAction, CacheBenchSettings, ProducerBenchSettings, SinkBenchSettings};
pub use pipeline::PipelineSettings;
pub use run::{ListSettings, RunSettings, ScenarioSettings};

/// Runs the pipeline under load, and compares the programs of orderflow with other software.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Command {
    #[command(subcommand)]
    pub action: Action,
}

#[derive(Debug, Subcommand)]
pub enum Action {
    /// Run the whole pipeline once: start cache-worker and consumers, run the producer, wait until every order is
    /// stored, audit the run, print a summary.
    Pipeline(Box<PipelineSettings>),
    /// Print the scenarios of the library, and what each shows.
    List(ListSettings),
    /// Compare a program of orderflow with other software, and print the ratios.
    #[command(subcommand)]
    Bench(BenchAction),
}
