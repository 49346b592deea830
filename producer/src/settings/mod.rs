//! What the producer is told.

mod load;
mod orders;
mod run;

use std::collections::BTreeMap;

use clap::{Parser, error::ErrorKind};
use shared::{
    cache::CacheSettings,
    kafka::{KafkaSettings, TopicSettings},
    program::OutputFormat,
    telemetry::TelemetryArgs,
};

pub use self::{
    load::{AskedRate, LoadSettings},
    orders::{OrderSettings, Source},
    run::RunSettings,
};

/// Emits synthetic orders to Kafka at exactly the rate asked, counts what the brokers acknowledge, and leaves a ledger by
/// which `orderdb audit` can prove that nothing was lost.
///
/// The schedule is open loop: order n is due at start + n/rate whatever happened to those before it, and lateness is
/// measured from there.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:\n  producer --rate 1000 --duration 30s\n  producer --rate 50 --count 10000 --output json\n  producer --steps 500:30s,1000:30s,2000:30s --skew 1.1\n  producer --rate max --count 1000000\n\nExit codes: 0 valid, 1 failed, 2 wrong usage, 3 finished but not valid (the rate was missed, an order was lost)."
)]
pub struct Command {
    /// How many orders, how fast.
    #[command(flatten)]
    pub load: LoadSettings,
    /// What the orders are made of.
    #[command(flatten)]
    pub orders: OrderSettings,
    /// Where users and products are sampled.
    #[command(flatten)]
    pub cache: CacheSettings,
    /// The cluster.
    #[command(flatten)]
    pub kafka: KafkaSettings,
    /// The topic.
    #[command(flatten)]
    pub topic: TopicSettings,
    /// The run and its ledger.
    #[command(flatten)]
    pub run: RunSettings,
    /// Metrics and health.
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
    /// What to print at the end.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// What contradicts itself in a way that the command line's grammar can't say.
fn wrong_usage(what: &str) -> clap::Error {
    clap::Error::raw(ErrorKind::ArgumentConflict, format!("{what}\n"))
}

impl Command {
    /// Looks for settings that make the run's figures worth nothing.
    ///
    /// # Errors
    /// Says which, as wrong usage.
    pub fn check(&self) -> Result<(), clap::Error> {
        for (key, value) in self.kafka.extra_settings() {
            let weakens = match key.as_str() {
                "acks" | "request.required.acks" => !["all", "-1"].contains(&value.as_str()),
                "enable.idempotence" => value != "true",
                _ => false,
            };
            if weakens {
                let what = "what is counted here is what all in-sync replicas have, each order once";
                return Err(wrong_usage(&format!("--kafka-config {key}={value} is not for the producer: {what}")));
            }
        }
        if self.run.shard.is_some() && matches!(self.orders.source(), Source::Snapshot { .. }) {
            let what = "--shard with --snapshot or --skew needs a --catalog: each would take a snapshot of its own";
            return Err(wrong_usage(what));
        }
        Ok(())
    }

    /// The settings as the ledger keeps them: no secrets.
    pub fn for_record(&self, seed: u64) -> BTreeMap<String, String> {
        let mut record = BTreeMap::from([
            ("load".to_owned(), format!("{:?}", self.load)),
            ("orders".to_owned(), format!("{:?}", self.orders)),
            ("seed".to_owned(), seed.to_string()),
            ("brokers".to_owned(), self.kafka.brokers.clone()),
            ("topic".to_owned(), self.topic.topic.clone()),
            ("redis".to_owned(), self.cache.address()),
            ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ]);
        for (key, value) in &self.kafka.extra {
            record.insert(format!("kafka.{key}"), value.clone());
        }
        record
    }
}
