use clap::Args;
use shared::{ledger::RunsFolder, program::OutputFormat, services::ServiceSettings};

use super::stack::StackSettings;
use crate::{
    scenario::{self, Overrides, Scenario, ScenarioError},
    view::ViewMode,
};

/// A load test, and where it runs.
#[derive(Clone, Debug, Args)]
pub struct RunSettings {
    #[command(flatten)]
    pub scenario: ScenarioSettings,
    /// Check the scenario, print what would run, and exit. Nothing is started.
    #[arg(long)]
    pub check: bool,
    #[command(flatten)]
    pub stack: StackSettings,
    /// Whether the run is shown on the whole screen of the terminal.
    #[arg(long, value_enum, default_value_t)]
    pub view: ViewMode,
    /// Output format of the result.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
    /// Consumer group.
    #[arg(long, env = "CONSUMER_GROUP", default_value = "orderflow")]
    pub group: String,
    #[command(flatten)]
    pub runs: RunsFolder,
    #[command(flatten)]
    pub services: ServiceSettings,
}

/// How the library is printed.
#[derive(Clone, Copy, Debug, Args)]
pub struct ListSettings {
    /// Output format.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// A scenario and the values that differ from its file.
#[derive(Clone, Debug, Args)]
pub struct ScenarioSettings {
    /// A TOML file, or the name of a scenario of the library, such as steady; `loadtest list` prints them.
    #[arg(value_name = "SCENARIO")]
    pub scenario: String,
    /// Override a value of the scenario, such as phases.steady.rate=2000 or faults.0.at=5s; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Override load.seed: the seed of the orders, their due times and the faults of [chaos].
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub seed: Option<u64>,
}

impl ScenarioSettings {
    /// The scenario with the values of the command line.
    ///
    /// # Errors
    /// When there is none, or with everything that is wrong in it.
    pub fn load(&self) -> Result<Scenario, ScenarioError> {
        scenario::load(&self.scenario, &Overrides { set: self.overrides.clone(), seed: self.seed })
    }
}
