//! What the producer is told.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use clap::{Args, Parser};
use shared::{
    cache::CacheSettings,
    kafka::{KafkaSettings, TopicSettings},
    ledger::{RunId, RunsDirectory},
    order_id::Sequence,
    program::{OutputFormat, positive_duration},
    telemetry::TelemetryArgs,
};

use crate::pace::Rate;

/// Emits synthetic orders to Kafka at exactly the rate asked, counts what the brokers acknowledge, and leaves a ledger by
/// which `orderdb audit` can prove that nothing was lost.
///
/// The schedule is open loop: order n is due at start + n/rate whatever happened to those before it, and lateness is
/// measured from there.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:\n  producer --rate 1000 --duration 30s\n  producer --rate 50 --count 10000 --output json\n\nExit codes: 0 valid, 1 failed, 2 wrong usage, 3 finished but not valid (the rate was missed, an order was lost)."
)]
pub struct Command {
    /// How many orders, how fast.
    #[command(flatten)]
    pub load: LoadSettings,
    /// Where users and products are sampled.
    #[command(flatten)]
    pub cache: CacheSettings,
    /// The cluster.
    #[command(flatten)]
    pub kafka: KafkaSettings,
    /// The topic.
    #[command(flatten)]
    pub topic: TopicSettings,
    /// The run's ledger.
    #[command(flatten)]
    pub ledger: LedgerSettings,
    /// Metrics and health.
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
    /// What to print at the end.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// How many orders, how fast.
#[derive(Clone, Debug, Args)]
pub struct LoadSettings {
    /// Orders a second, such as 1000 or 0.5.
    #[arg(long, value_name = "ORDERS_A_SECOND")]
    pub rate: Rate,
    /// How long orders become due, such as 30s or 5m; without it and --count, until Ctrl-C.
    #[arg(long, value_parser = positive_duration, conflicts_with = "count")]
    pub duration: Option<Duration>,
    /// How many orders.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=Sequence::LIMIT))]
    pub count: Option<u64>,
    /// How long acknowledgements are waited for at the end.
    #[arg(long, default_value = "30s", value_parser = positive_duration, value_name = "DURATION")]
    pub flush_timeout: Duration,
}

impl LoadSettings {
    /// Number of orders that the run has; as many as a run can name when it goes on until Ctrl-C.
    pub fn orders(&self) -> u64 {
        let asked = self.count.or_else(|| self.duration.map(|duration| self.rate.orders_within(duration)));
        asked.unwrap_or(Sequence::LIMIT).min(Sequence::LIMIT)
    }

    /// Whether the end is known beforehand.
    pub fn is_bounded(&self) -> bool {
        self.count.is_some() || self.duration.is_some()
    }
}

/// Where the run leaves its traces.
#[derive(Clone, Debug, Args)]
pub struct LedgerSettings {
    /// Folder of the runs.
    #[command(flatten)]
    pub runs: RunsDirectory,
    /// The run's name; made of the time and a random tag when not given.
    #[arg(long, help_heading = "Run ledger")]
    pub run_id: Option<RunId>,
    /// Where the latency log goes; beside the ledger when not given.
    #[arg(long, value_name = "FOLDER", help_heading = "Run ledger")]
    pub stats_dir: Option<PathBuf>,
}

impl Command {
    /// The settings as the ledger keeps them: no secrets.
    pub fn for_record(&self) -> BTreeMap<String, String> {
        let mut record = BTreeMap::from([
            ("rate".to_owned(), self.load.rate.to_string()),
            ("brokers".to_owned(), self.kafka.brokers.clone()),
            ("topic".to_owned(), self.topic.topic.clone()),
            ("redis".to_owned(), self.cache.address()),
            ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ]);
        if let Some(count) = self.load.count {
            record.insert("count".to_owned(), count.to_string());
        }
        if let Some(duration) = self.load.duration {
            record.insert("duration".to_owned(), humantime::format_duration(duration).to_string());
        }
        for (key, value) in self.kafka.extra_for_record() {
            record.insert(format!("kafka.{key}"), value);
        }
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(arguments: &[&str]) -> Result<LoadSettings, clap::Error> {
        Command::try_parse_from(["producer"].iter().chain(arguments)).map(|command| command.load)
    }

    #[test]
    fn the_number_of_orders_is_exact() {
        assert_eq!(load(&["--rate", "1000", "--duration", "30s"]).unwrap().orders(), 30_000);
        assert_eq!(load(&["--rate", "0.3", "--duration", "10s"]).unwrap().orders(), 3);
        assert_eq!(load(&["--rate", "7", "--count", "13"]).unwrap().orders(), 13);
        assert!(!load(&["--rate", "7"]).unwrap().is_bounded());
    }

    #[test]
    fn a_wrong_rate_count_or_duration_is_refused_as_wrong_usage() {
        for arguments in [
            &["--rate", "0"][..],
            &["--rate", "-1"],
            &["--rate=-1"],
            &["--rate", "abc"],
            &["--rate", "NaN"],
            &["--rate", "1e12"],
            &["--rate", "1", "--count", "0"],
            &["--rate", "1", "--duration", "0s"],
            &["--rate", "1", "--duration", "soon"],
            &["--rate", "1", "--duration", "1s", "--count", "1"],
            &[],
        ] {
            assert_eq!(load(arguments).unwrap_err().exit_code(), 2, "{arguments:?}");
        }
    }
}
