use std::{fmt, str::FromStr, time::Duration};

use clap::Args;
use shared::{database::StatementMode, program::positive_duration};

/// How many dead letters of one kind are too many.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DeadLetterLimit {
    /// Within 10 s: more than a share of all records (and a hundred at least), or more than a number.
    At {
        /// 0 to 1.
        share: f64,
        dead_letters: u64,
    },
    Unlimited,
}

impl Default for DeadLetterLimit {
    fn default() -> Self {
        Self::At { share: 0.05, dead_letters: 1_000 }
    }
}

impl fmt::Display for DeadLetterLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At { share, dead_letters } => write!(f, "{}%,{dead_letters}", share * 100.0),
            Self::Unlimited => f.write_str("none"),
        }
    }
}

impl FromStr for DeadLetterLimit {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const USAGE: &str = "a limit is SHARE%,NUMBER, such as 5%,1000, or none";
        if text == "none" {
            return Ok(Self::Unlimited);
        }
        let (share, number) = text.split_once(',').ok_or(USAGE)?;
        let percent: f64 = share.trim().strip_suffix('%').and_then(|share| share.parse().ok()).ok_or(USAGE)?;
        let dead_letters = number.trim().parse().map_err(|_| USAGE)?;
        if !(0.0..=100.0).contains(&percent) {
            return Err(USAGE);
        }
        Ok(Self::At { share: percent / 100.0, dead_letters })
    }
}

/// The size of batches and queues.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Batches")]
pub struct BatchSettings {
    /// Workers that insert in parallel, each over its own connections. A partition always has the same worker.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub writers: u8,
    /// Rows of one insert at most. A batch is all records that wait, up to this; it is never delayed to be filled.
    // As many as our producer sends to a partition in a row: measured a tenth faster than 2,000, and 5,000 take 16 MiB
    // more.
    #[arg(long, default_value_t = 3_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_batch: u32,
    /// MiB of memory for records that are read and not yet stored.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1_024), value_name = "MIB")]
    pub queue_size: u32,
    /// The limit of dead letters of one kind within 10 s: this share of the records (and a hundred at least), or this
    /// number. Above it the consumer pauses until it gets the signal USR1, which accepts the kind. `none` for no limit.
    #[arg(long, default_value_t, value_name = "SHARE%,NUMBER")]
    pub dead_letter_limit: DeadLetterLimit,
}

/// How orders are enriched.
#[derive(Clone, Copy, Debug, Args)]
pub struct EnrichmentSettings {
    /// How long this process caches a user or a product. A change in the tables shows in new orders after the
    /// cache-worker's next round and this time.
    #[arg(
        long,
        alias = "remember",
        default_value = "30s",
        value_parser = positive_duration,
        value_name = "DURATION",
        help_heading = "Batches"
    )]
    pub cache_ttl: Duration,
}

/// How statements are executed.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Database")]
pub struct StatementSettings {
    /// Prepared statements are planned once a connection. Behind a pooler in transaction mode they fail: use unnamed.
    #[arg(long, value_enum, default_value = "prepared")]
    pub statements: StatementMode,
    /// How long a statement may take before the database counts as lost.
    #[arg(long, default_value = "15s", value_parser = humantime::parse_duration, value_name = "DURATION")]
    pub statement_deadline: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_share_and_a_number() {
        assert_eq!("5%,1000".parse(), Ok(DeadLetterLimit::default()));
        assert_eq!(DeadLetterLimit::default().to_string().parse(), Ok(DeadLetterLimit::default()));
        assert_eq!("none".parse(), Ok(DeadLetterLimit::Unlimited));
        for wrong in ["", "5", "5%", "101%,1", "-1%,1", "5%,-1", "5,1000"] {
            assert!(wrong.parse::<DeadLetterLimit>().is_err(), "{wrong}");
        }
    }
}
