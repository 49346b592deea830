use std::{collections::BTreeMap, fmt, ops::AddAssign};

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{run_id::RunId, shard::Shard};
use crate::{latency::LatencySummary, lifecycle::OrderStatus, order_id::RunTag, requirement::RequirementResult};

/// The start of one shard of a run, as in `run.json`. It is written before the first order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// Id of the run.
    pub run_id: RunId,
    /// Shard of this producer.
    #[serde(default, alias = "instance")]
    pub shard: Shard,
    /// Tag of the orders of this shard. It is random: a run id that is used again does not have the same one.
    pub tag: RunTag,
    /// Due time of the first order.
    pub started_at: DateTime<Utc>,
    /// Topic of the orders.
    pub topic: String,
    /// Whether the orders have other due times than those at which they were sent. Latencies can't be measured then.
    #[serde(default)]
    pub backdated: bool,
    /// The settings of the producer, without secrets.
    pub settings: BTreeMap<String, String>,
}

/// Number of orders by result: `scheduled = enqueued + skipped`, `enqueued = acknowledged + failed + unknown`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Orders that became due.
    pub scheduled: u64,
    /// Orders that were overdue for longer than the catch-up limit, and were not sent.
    pub skipped: u64,
    /// Orders that were enqueued in librdkafka.
    pub enqueued: u64,
    /// Orders, among the enqueued ones, that are invalid on purpose: the consumer must dead-letter them.
    #[serde(default)]
    pub invalid: u64,
    /// Orders that the brokers acknowledged.
    pub acknowledged: u64,
    /// Orders that are not in the topic: librdkafka reported them as not persisted.
    pub failed: u64,
    /// Orders that may be in the topic: they ended with any other error.
    pub unknown: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.scheduled += other.scheduled;
        self.skipped += other.skipped;
        self.enqueued += other.enqueued;
        self.invalid += other.invalid;
        self.acknowledged += other.acknowledged;
        self.failed += other.failed;
        self.unknown += other.unknown;
    }
}

/// The changes of the status of orders in a run: `scheduled = enqueued + skipped`, `enqueued = acknowledged + failed +
/// unknown`. An order whose change was not acknowledged has no further ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChangesSummary {
    /// Changes that were sent or skipped. Those of an order whose change was not acknowledged, and those that were not
    /// due when the run was stopped, are not counted.
    pub scheduled: u64,
    /// Changes that were not sent: all further ones of an order beyond the limit of pending changes, or of one whose
    /// record is not in the topic after a resume; those that were overdue when the run was stopped; and those that were
    /// pending when it gave up since the brokers acknowledged nothing.
    pub skipped: u64,
    /// Changes that were enqueued in librdkafka.
    pub enqueued: u64,
    /// Changes that the brokers acknowledged.
    pub acknowledged: u64,
    /// Changes that are not in the topic: librdkafka reported them as not persisted.
    pub failed: u64,
    /// Changes that may be in the topic: they ended with any other error.
    pub unknown: u64,
    /// Acknowledged changes by their status.
    pub by_status: BTreeMap<OrderStatus, u64>,
    /// Lateness, enqueued − due, in milliseconds, of changes of orders after the warm-up.
    pub lateness_ms: LatencySummary,
    /// Latency, acknowledged − due, in milliseconds, of changes of orders after the warm-up.
    pub acknowledgement_ms: LatencySummary,
}

/// The verdict on a run: whether its figures are valid, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// All scheduled orders were acknowledged, at the target rate, within the lateness limit.
    Valid,
    /// The producer missed the target rate or the lateness limit. The usual cause is too little CPU.
    GeneratorLimited,
    /// The brokers accepted orders at a lower rate than they became due.
    BrokerLimited,
    /// Orders failed, or their result is unknown.
    Lossy,
    /// None of the above, but a figure does not meet a requirement of the user.
    RequirementNotMet,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Valid => "valid",
            Self::GeneratorLimited => "generator-limited",
            Self::BrokerLimited => "broker-limited",
            Self::Lossy => "lossy",
            Self::RequirementNotMet => "requirement-not-met",
        })
    }
}

/// The longest time in which orders were in flight and none was acknowledged. It begins with the last acknowledgement,
/// or with the first order in flight if that is later, and ends with the next acknowledgement or with the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StallSummary {
    /// Length in seconds; 0 when no order was in flight.
    pub seconds: f64,
    /// Seconds from the first due time of the run, which `run.json` has, to the beginning of the stall.
    pub start_seconds: f64,
    /// Orders that became due meanwhile, an expected value with Poisson arrivals; `None` for an unpaced run.
    pub orders_due: Option<u64>,
}

/// The end of one shard of a run, as in `summary.json`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RunSummary {
    /// Id of the run.
    pub run_id: RunId,
    /// Shard of this producer.
    #[serde(default, alias = "instance")]
    pub shard: Shard,
    /// When the producer was started again after it was killed, the last time; `None` for one that was not. The counts
    /// are of the whole run nevertheless: `unknown` has the orders that were due before this time and have no result in
    /// the journal, sent or not. `errors`, `queue_full`, the latencies and the stall are of the orders since this time.
    #[serde(default)]
    pub resumed_at: Option<DateTime<Utc>>,
    /// Target rate in orders per second, averaged over the schedule; `None` for an unpaced run.
    pub rate_asked: Option<f64>,
    /// Acknowledged orders per second, from the first due time after the warm-up to the last acknowledgement. A paced
    /// run lasts at least as long as its schedule: the order after the last one would be due at its end.
    pub rate_achieved: f64,
    /// Seconds from the end of the schedule to the last acknowledgement, 0 when it came earlier. `rate_achieved` counts
    /// them, the target rate does not: in a short run, they are most of the difference. `None` for an unpaced run, and
    /// when no order was acknowledged.
    #[serde(default)]
    pub tail_seconds: Option<f64>,
    /// Seconds from the first due time after the warm-up to the last acknowledgement.
    pub seconds: f64,
    /// The longest stall, without the warm-up.
    #[serde(default)]
    pub stall: StallSummary,
    /// Orders by result, without those of the warm-up.
    #[serde(flatten)]
    pub counts: Counts,
    /// Orders of the warm-up by result.
    pub warm_up: Counts,
    /// What became of the orders, those of the warm-up included; `None` for a run without lifecycles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<ChangesSummary>,
    /// Orders and changes that failed or are unknown, by the name of the error in librdkafka.
    pub errors: BTreeMap<String, u64>,
    /// How often librdkafka's queue was full. The orders were enqueued late, not lost.
    pub queue_full: u64,
    /// Lateness, enqueued − due, in milliseconds, without the warm-up.
    pub lateness_ms: LatencySummary,
    /// Latency, acknowledged − due, in milliseconds, without the warm-up.
    pub acknowledgement_ms: LatencySummary,
    /// Latency, acknowledged − enqueued, in milliseconds, without the warm-up.
    #[serde(default)]
    pub round_trip_ms: LatencySummary,
    /// The requirements of the user, and whether they are met.
    #[serde(default)]
    pub requirements: Vec<RequirementResult>,
    /// Whether the figures are valid, and if not, why.
    pub verdict: Verdict,
}

impl RunSummary {
    /// Number of orders, including those of the warm-up, that may be in the topic but were not acknowledged.
    pub fn unknown(&self) -> u64 {
        self.counts.unknown + self.warm_up.unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_that_calls_its_shard_an_instance_is_read() {
        let json = r#"{"run_id": "load-7", "instance": "2/4", "tag": 1, "started_at": "2026-01-31T09:00:00Z",
            "topic": "orders", "settings": {}}"#;
        let run: Run = serde_json::from_str(json).unwrap();
        assert_eq!(run.shard, "2/4".parse().unwrap());
    }
}
