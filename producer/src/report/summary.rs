//! The summary of a run, as the ledger stores it.

use std::time::Duration;

use shared::{
    latency::LatencySummary,
    ledger::{Counts, RunId, RunSummary, Shard, Verdict},
};

use super::verdict::{Timing, verdict};
use crate::{
    send::{
        publisher::Sent,
        tally::{PhaseCounts, Tally},
    },
    settings::LoadSettings,
};

/// Summarizes the run of one shard: `tally` covers the whole run, and `load` is the load that was configured. Orders
/// without a final delivery report are counted as unknown.
pub fn summarize(run_id: RunId, shard: Shard, load: &LoadSettings, sent: &Sent, tally: &Tally) -> RunSummary {
    let measured = counts(tally.measured, sent.skipped.measured);
    let warm_up = counts(tally.warm_up, sent.skipped.warm_up);
    let without_warm_up = |nanos: i64| (nanos as f64 / 1e9 - load.warm_up.as_secs_f64()).max(0.0);
    let seconds = tally.last_acknowledged.map_or(0.0, without_warm_up);
    let lateness_ms = tally.lateness.summary();
    let timing = sent.length.map(|length| timing(length, seconds, load, tally, &lateness_ms));
    let (rate_asked, rate_achieved) = rates(measured, seconds, timing, load.fixed_rate(shard));
    RunSummary {
        run_id,
        shard,
        rate_asked,
        rate_achieved,
        seconds,
        counts: measured,
        warm_up,
        errors: tally.errors.clone(),
        queue_full: tally.measured.queue_full,
        lateness_ms,
        acknowledgement_ms: tally.acknowledgement.summary(),
        round_trip_ms: tally.round_trip.summary(),
        verdict: match sent.fatal {
            Some(_) => Verdict::Lossy,
            None => verdict(measured, warm_up, timing),
        },
    }
}

fn counts(counts: PhaseCounts, skipped: u64) -> Counts {
    let PhaseCounts { enqueued, invalid, acknowledged, failed, .. } = counts;
    let unknown = enqueued.saturating_sub(acknowledged + failed);
    Counts { scheduled: enqueued + skipped, skipped, enqueued, invalid, acknowledged, failed, unknown }
}

fn timing(length: Duration, seconds: f64, load: &LoadSettings, tally: &Tally, lateness: &LatencySummary) -> Timing {
    Timing {
        length,
        lateness: Duration::from_nanos(u64::try_from(tally.last_lateness).unwrap_or_default()),
        tail: Duration::try_from_secs_f64(seconds - length.as_secs_f64()).unwrap_or_default(),
        lateness_exceeded: lateness.p99 > load.lateness_bound.as_secs_f64() * 1_000.0,
        queue_full: tally.measured.queue_full > 0,
    }
}

/// Target and achieved rate. A paced run is measured over the length of its schedule plus the delay of its last order;
/// an unpaced one has no target and is measured until its last acknowledgement.
fn rates(counts: Counts, seconds: f64, timing: Option<Timing>, fixed: Option<f64>) -> (Option<f64>, f64) {
    let (target, measured_seconds) = match timing {
        Some(Timing { length, .. }) if length.is_zero() => (None, 0.0),
        Some(timing) => {
            let mean = counts.scheduled as f64 / timing.length.as_secs_f64();
            let delay = if timing.tail_exceeded() { timing.tail } else { timing.lateness };
            (Some(fixed.unwrap_or(mean)), (timing.length + delay).as_secs_f64())
        }
        None => (None, seconds),
    };
    let achieved = counts.acknowledged as f64 / measured_seconds;
    (target, if achieved.is_finite() { achieved } else { 0.0 })
}
