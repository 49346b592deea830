use std::{path::PathBuf, str::FromStr};

use clap::Args;
use shared::{ledger::RunsFolder, program::OutputFormat};

#[derive(Clone, Debug, Args)]
pub struct CompareSettings {
    /// The two sides. Each is a folder with folders of runs, a baseline file, or one run: its id or its folder.
    #[arg(
        value_names = ["A", "B"],
        num_args = 2,
        required_unless_present_all = ["a", "b"],
        conflicts_with_all = ["a", "b"]
    )]
    pub sides: Vec<PathBuf>,
    /// The runs of side A, instead of a folder: ids or folders. With --run, the folder of its programs.
    #[arg(long, value_name = "RUN", num_args = 1.., requires = "b")]
    pub a: Vec<PathBuf>,
    /// The runs of side B. With --run, the folder of its programs.
    #[arg(long, value_name = "RUN", num_args = 1.., requires = "a")]
    pub b: Vec<PathBuf>,
    /// Run this scenario first, with the programs of both folders in turns, and compare these runs.
    #[arg(long, value_name = "SCENARIO", requires_all = ["a", "b"])]
    pub run: Option<String>,
    /// Runs a side with --run.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=64), requires = "run")]
    pub rounds: u32,
    /// Probability of a false change among the key figures, or among the details, when nothing changed.
    #[arg(long, default_value = "5%", value_name = "PERCENT")]
    pub alpha: Percent,
    /// Output format of the result.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
    #[command(flatten)]
    pub runs: RunsFolder,
}

impl CompareSettings {
    /// The arguments of side A and of side B.
    pub fn sides(&self) -> (&[PathBuf], &[PathBuf]) {
        match self.sides.split_at_checked(1) {
            Some(sides) => sides,
            None => (&self.a, &self.b),
        }
    }
}

#[derive(Clone, Debug, Args)]
pub struct GateSettings {
    /// The runs that are judged, or saved: ids, folders of a run, or folders with folders of runs.
    #[arg(value_name = "RUN", required = true)]
    pub run_ids: Vec<PathBuf>,
    /// Judge the runs by this file (or folder with folders of runs).
    #[arg(long, value_name = "FILE", required_unless_present = "save")]
    pub baseline: Option<PathBuf>,
    /// Write the figures of the runs to this file, as a baseline.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["baseline", "tolerance"])]
    pub save: Option<PathBuf>,
    /// How much worse a figure may get. A figure fails the gate when it is worse by more than this, and beyond the
    /// noise.
    #[arg(long, default_value = "10%", value_name = "PERCENT")]
    pub tolerance: Percent,
    /// Probability of a false change among the key figures, or among the details, when nothing changed.
    #[arg(long, default_value = "5%", value_name = "PERCENT")]
    pub alpha: Percent,
    /// Output format of the result.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
    #[command(flatten)]
    pub runs: RunsFolder,
}

/// A share that is written in per cent, such as `10%`: 0 to 1, without 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percent(pub f64);

impl FromStr for Percent {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.trim().strip_suffix('%').and_then(|number| number.trim_end().parse::<f64>().ok());
        let number = number.filter(|number| (0.0..100.0).contains(number));
        number.map(|number| Self(number / 100.0)).ok_or("write per cent from 0 to below 100, such as 10%")
    }
}
