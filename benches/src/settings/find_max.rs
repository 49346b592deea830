use std::time::Duration;

use clap::Args;
use producer::pace::Rate;
use shared::{
    ledger::RunsFolder,
    program::{OutputFormat, positive_duration},
    requirement::Requirement,
    services::ServiceSettings,
};

use super::stack::StackSettings;
use crate::find_max::judge::is_measured;

/// Requirements of a search, unless --require names the same metric.
///
/// Below saturation, p99 depends more on chance than on the rate: on two cores it was 116 to 364 ms in three probes of
/// 4,000/s, and 323 ms at 16,000/s. So the limit is above that, where a backlog decides.
pub const DEFAULT_REQUIREMENTS: [&str; 2] = ["stored p99 < 1s", "stall < 1s"];

/// The search does not leave these rates, in orders per second.
pub const LOWEST_RATE: f64 = 1.0;
pub const HIGHEST_RATE: f64 = 1_000_000.0;

const SHORTEST_STEP: Duration = Duration::from_secs(5);
/// The start and the end of the programs, and the audit.
const BESIDE_PROBES: Duration = Duration::from_secs(20);

#[derive(Clone, Debug, Args)]
pub struct FindMaxSettings {
    /// What must hold, such as 'stored p99 < 100ms' or 'ack p99 < 50ms'; may be repeated. Metrics: those of producer
    /// --require, stored (with a percentile), missing and lag. 'stored p99 < 1s' and 'stall < 1s' apply unless their metric
    /// is named here. Always required: the lag does not grow, every order is stored, the producer is not late.
    #[arg(long, value_name = "REQUIREMENT", value_parser = requirement_of_probe)]
    pub require: Vec<Requirement>,
    /// Orders per second of the first probe. The rate doubles until a requirement breaks.
    #[arg(long, default_value = "500", value_parser = first_rate, value_name = "ORDERS_PER_SECOND")]
    pub from: Rate,
    /// Time for the whole search, from the warm-up to the audit, for which a tenth is left. When it is over, the result is
    /// what all probes until then tell.
    #[arg(long, default_value = "5m", value_parser = positive_duration, value_name = "DURATION")]
    pub budget: Duration,
    /// Length of a probe near the result. Its first sixth is not judged. Probes far from the result have 40 % of it, but
    /// no less than 5s.
    #[arg(long, default_value = "20s", value_parser = step, value_name = "DURATION")]
    pub step: Duration,
    /// Number of consumers in the group.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub consumers: u16,
    #[command(flatten)]
    pub stack: StackSettings,
    /// Output format of the result.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
    #[command(flatten)]
    pub runs: RunsFolder,
    #[command(flatten)]
    pub services: ServiceSettings,
}

impl FindMaxSettings {
    /// # Errors
    /// When the budget is too short for a warm-up and a probe: a sentence for the user.
    pub fn check(&self) -> Result<(), String> {
        let least = BESIDE_PROBES + 2 * self.step;
        match self.budget < least {
            true => Err(format!(
                "--budget {} has no time for probes of {}: it must be {} or more, or --step shorter",
                humantime::format_duration(self.budget),
                humantime::format_duration(self.step),
                humantime::format_duration(least)
            )),
            false => Ok(()),
        }
    }

    /// Those of the user, and the defaults for other metrics.
    pub fn requirements(&self) -> Vec<Requirement> {
        let defaults = DEFAULT_REQUIREMENTS.iter().map(|text| text.parse().expect("the defaults are requirements"));
        let is_named = |default: &Requirement| self.require.iter().any(|named| named.metric() == default.metric());
        self.require.iter().cloned().chain(defaults.filter(|default| !is_named(default))).collect()
    }
}

/// A search of this rate has others above and below it.
fn first_rate(text: &str) -> Result<Rate, String> {
    let rate: Rate = text.parse().map_err(|error| format!("{error}"))?;
    match (LOWEST_RATE..=HIGHEST_RATE).contains(&rate.per_second()) {
        true => Ok(rate),
        false => Err(format!("the first probe has a rate from {LOWEST_RATE} to {HIGHEST_RATE} orders per second")),
    }
}

fn requirement_of_probe(text: &str) -> Result<Requirement, String> {
    let requirement: Requirement = text.parse().map_err(|error| format!("{error}"))?;
    match is_measured(&requirement) {
        true => Ok(requirement),
        false => Err(format!(
            "'{text}' is not measured by a probe: use the metrics of producer --require, stored, missing or lag; \
             loadtest run measures the others"
        )),
    }
}

/// A shorter probe has too few seconds for the slope of the lag.
fn step(text: &str) -> Result<Duration, String> {
    let step = positive_duration(text)?;
    if step < SHORTEST_STEP {
        return Err("a probe needs 5s or more, to tell whether the lag grows".to_owned());
    }
    Ok(step)
}
