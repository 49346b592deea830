use std::time::Duration;

use clap::Args;

use crate::{generate::InvalidShare, send::partitioner::Partitioner};

/// The content of the orders, and their partitions.
#[derive(Clone, Debug, Args)]
pub struct OrderSettings {
    /// Seed of all random numbers. The same seed repeats the due times and the amounts of the orders, in each version
    /// of the producer. With --source builtin, --catalog or --snapshot it also repeats their users and products; with
    /// --start-at and --backdate, every byte but the tag in their ids. Default: derived from --run-id if it is set, else
    /// random.
    #[arg(long, value_name = "NUMBER", help_heading = "Orders")]
    pub seed: Option<u64>,
    /// Make this share of the orders invalid on purpose, such as 0.1%: unknown user or product, truncated JSON, wrong
    /// type, newer version. They are counted separately, and the audit expects them in the dead-letter topic.
    #[arg(long, default_value = "0%", value_name = "SHARE", help_heading = "Orders")]
    pub invalid: InvalidShare,
    /// How the partition of an order is chosen.
    #[arg(long, alias = "partitioning", value_enum, default_value_t, help_heading = "Orders")]
    pub partitioner: Partitioner,
    /// How long a batch gets orders before it is sent: linger.ms of the client, and the time after which the sticky
    /// partitioner switches. Longer: fewer requests and less CPU of the brokers, and a higher latency. Default: 2ms,
    /// with --rate max 20ms.
    #[arg(long, value_parser = parse_linger, value_name = "DURATION", help_heading = "Orders")]
    pub linger: Option<Duration>,
}

/// The maximum of librdkafka.
const MAX_LINGER: Duration = Duration::from_secs(900);

fn parse_linger(text: &str) -> Result<Duration, String> {
    let linger = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if linger > MAX_LINGER { Err(format!("the maximum is {MAX_LINGER:?}")) } else { Ok(linger) }
}
