use std::{fmt, time::Duration};

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is broken: a kind, its target and its parameters.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// SIGKILL; undone by a start.
    Kill(Target),
    /// A graceful stop; undone by a start.
    Stop(Target),
    /// SIGSTOP; undone by SIGCONT.
    Pause(Target),
    /// A graceful stop and a start. It has no duration.
    Restart(Target),
    /// SIGKILL for one backend of PostgreSQL, which then recovers by itself. It has no duration.
    KillBackend,
    /// Another number of consumers; it stays, unless it has a duration.
    ScaleConsumers(u16),
    /// Delays what passes a link, in each direction.
    SlowLink { target: Target, delay: Duration },
    /// Refuses connections on a link, and closes the open ones.
    CutLink(Target),
    /// Resets the connections of a link (RST), and accepts the next ones some milliseconds later. It has no duration.
    ResetLink(Target),
    /// Passes nothing on a link and leaves its connections open. At its end they are closed, since they lack the data
    /// that was dropped.
    BlackHoleLink(Target),
    /// Fills the disk of the producers' ledgers, a small tmpfs. A write fails once it needs another block of 4 KiB.
    FillDisk,
    /// Sets the clock of a program ahead (or back, with a negative offset), in milliseconds.
    SkewClock { target: Target, offset_ms: i64 },
    /// Holds `ACCESS EXCLUSIVE` on a table.
    LockTable { table: String },
}

/// A server or a program of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// 1 to 3.
    Broker(u8),
    Redis,
    Postgres,
    /// From 1.
    Consumer(u16),
    /// From 1; the number of its shard.
    Producer(u16),
    CacheWorker,
}

impl Target {
    /// Whether it is a server of the stack, not a program of the run.
    pub fn is_server(self) -> bool {
        matches!(self, Self::Broker(_) | Self::Redis | Self::Postgres)
    }
}

impl fmt::Display for Target {
    /// The name in a scenario, such as `kafka-2` or `consumer-1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broker(number) => write!(f, "kafka-{number}"),
            Self::Redis => f.write_str("redis"),
            Self::Postgres => f.write_str("postgres"),
            Self::Consumer(number) => write!(f, "consumer-{number}"),
            Self::Producer(number) => write!(f, "producer-{number}"),
            Self::CacheWorker => f.write_str("cache-worker"),
        }
    }
}

/// A fault as it happened, for the fault log and the report.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FaultRecord {
    /// Such as `kill kafka-2`.
    pub fault: String,
    /// When it was due, in seconds after the first due time.
    pub planned_seconds: f64,
    /// When it had taken effect.
    pub began_at: DateTime<Utc>,
    /// When it was undone, and what was broken is ready again. `None` for one that has no end.
    pub ended_at: Option<DateTime<Utc>>,
    /// Why it could not begin or be undone.
    pub error: Option<String>,
    /// `None` until the run is judged.
    pub recovery: Option<Recovery>,
}

/// How long the pipeline needed after the end of a fault, in seconds. `None` when it did not recover before the end of
/// the run or before the next fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Recovery {
    /// Until the stored rate, dead letters included, is at least 90 % of the rate asked, three seconds in a row. It is
    /// above the rate asked while the consumers store what is left.
    pub stored_rate_seconds: Option<f64>,
    /// Until the lag is at most twice its average of the 5 s before the fault, or the orders of a quarter of a second,
    /// or 50 records, three seconds in a row, or until the end of a run that ends with a lag of 0.
    pub lag_seconds: Option<f64>,
}
