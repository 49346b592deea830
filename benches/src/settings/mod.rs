//! The command line of `loadtest`.

mod bench;
mod compare;
mod find_max;
mod pipeline;
mod report;
mod run;
mod stack;

use clap::{Parser, Subcommand};
use shared::{
    completions::CompletionSettings,
    program::ProgramArgs,
    telemetry::{LogSettings, ProgramInfo},
};

pub use bench::{
    BareLoopSettings, BenchAction, BenchStackSettings, CacheBenchSettings, ConnectionsBenchSettings,
    IndexBenchSettings, LatencyBenchSettings, ProducerBenchSettings, SinkBenchSettings,
};
pub use compare::{CompareSettings, GateSettings, Percent};
pub use find_max::{FindMaxSettings, HIGHEST_RATE, LOWEST_RATE};
pub use pipeline::{Lifecycle, PipelineSettings, WarmUp};
pub use report::ReportSettings;
pub use run::{ListSettings, RunSettings, ScenarioSettings};
pub use stack::StackSettings;

/// Runs the pipeline under load, and compares the programs of orderflow with other software.
#[derive(Debug, Parser)]
#[command(name = "loadtest", version)]
pub struct Command {
    #[command(subcommand)]
    pub action: Action,
    #[command(flatten)]
    pub log: LogSettings,
}

impl ProgramArgs for Command {
    const PROGRAM: ProgramInfo = ProgramInfo { program: "loadtest", version: env!("CARGO_PKG_VERSION") };

    fn log_settings(&self) -> LogSettings {
        self.log
    }
}

#[derive(Debug, Subcommand)]
pub enum Action {
    /// Run a scenario: start the programs, send orders by a schedule, break what the scenario says, check that no order
    /// is lost, and write a report.
    Run(Box<RunSettings>),
    /// Find the highest rate at which all requirements hold, and what limits it: the rate doubles until a requirement
    /// breaks, then the interval is halved to 5 %.
    ///
    /// The search creates its own topic, cache keys and database, and deletes them at the end; the database user needs
    /// CREATEDB. Exit code 3: no rate held, or the audit of the highest one found an order missing or altered.
    FindMax(Box<FindMaxSettings>),
    /// Run the whole pipeline once: start cache-worker and consumers, run the producer, wait until every order is
    /// stored, audit the run, print a summary.
    Pipeline(Box<PipelineSettings>),
    /// Print the scenarios of the library, and what each shows.
    List(ListSettings),
    /// Draw the report of a run again from its report.json, or one page that compares several runs.
    Report(Box<ReportSettings>),
    /// Compare a program of orderflow with other software, and print the ratios.
    #[command(subcommand)]
    Bench(BenchAction),
    /// Compare the figures of two sides of several runs, and tell which of them changed beyond the noise.
    ///
    /// The test (Mann-Whitney, exact) assumes no distribution, and its p-values are corrected for the number of figures
    /// (Holm): five runs a side can tell a change of the key figures, nine a change of the details. Make the runs of
    /// both sides in turns.
    Compare(Box<CompareSettings>),
    /// Judge runs by a baseline, for CI: exit with 3 when a figure is worse beyond the noise and the tolerance, or an
    /// order is missing, altered or stored twice; with 1 when there are too few runs to tell.
    Gate(Box<GateSettings>),
    /// Print the completions for a shell: `source <(loadtest completions bash)`.
    Completions(CompletionSettings),
}
