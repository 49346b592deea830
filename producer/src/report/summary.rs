//! The summary of a run, as the ledger stores it.

use std::time::Duration;

use shared::{
    latency::LatencySummary,
    ledger::{ChangesSummary, Counts, RunId, RunSummary, Shard, StallSummary, Verdict},
};

use super::{
    requirements,
    verdict::{Timing, verdict},
};
use crate::{
    ledger::earlier::EarlierOrders,
    send::{
        change_tally::ChangeTally,
        publisher::Sent,
        tally::{PhaseCounts, Tally},
    },
    settings::{Command, LoadSettings},
};

/// Summarizes the run of one shard: `tally` covers what this process sent, `earlier` what a killed one did, and
/// `command` is what was configured. Orders without a final delivery report are counted as unknown.
pub fn summarize(
    run_id: RunId,
    shard: Shard,
    command: &Command,
    sent: &Sent,
    tally: &Tally,
    earlier: Option<&EarlierOrders>,
) -> RunSummary {
    let load = &command.load;
    let mut measured = counts(tally.measured, sent.skipped.measured);
    let mut warm_up = counts(tally.warm_up, sent.skipped.warm_up);
    if let Some(earlier) = earlier {
        measured += earlier.measured;
        warm_up += earlier.warm_up;
    }
    // Of the killed producer, only the due time of its last acknowledged order is known.
    let acknowledged_before = earlier.and_then(|earlier| earlier.last_acknowledged).map(u64::cast_signed);
    let last_acknowledged = tally.last_acknowledged.or(acknowledged_before);
    let without_warm_up = |nanos: i64| (nanos as f64 / 1e9 - load.warm_up().as_secs_f64()).max(0.0);
    let seconds = last_acknowledged.map_or(0.0, without_warm_up);
    let lateness_ms = tally.lateness.summary();
    let changes = changes(tally, earlier);
    let timing = sent.length.map(|length| timing(length, seconds, load, tally, &lateness_ms));
    let (rate_asked, rate_achieved) = rates(measured, seconds, timing, load.fixed_rate(shard));
    let mut summary = RunSummary {
        run_id,
        shard,
        resumed_at: earlier.map(|earlier| earlier.resumed_at),
        rate_asked,
        rate_achieved,
        tail_seconds: timing.filter(|_| last_acknowledged.is_some()).map(|timing| timing.tail.as_secs_f64()),
        seconds,
        stall: stall(sent),
        counts: measured,
        warm_up,
        changes: changes.clone(),
        errors: tally.errors.clone(),
        queue_full: tally.measured.queue_full,
        lateness_ms,
        acknowledgement_ms: tally.acknowledgement.summary(),
        round_trip_ms: tally.round_trip.summary(),
        requirements: Vec::new(),
        verdict: match sent.fatal {
            Some(_) => Verdict::Lossy,
            None => verdict(measured, warm_up, changes.as_ref(), timing),
        },
    };
    summary.requirements = requirements::check(&command.require, &summary, tally);
    if summary.verdict == Verdict::Valid && summary.requirements.iter().any(|result| !result.met) {
        summary.verdict = Verdict::RequirementNotMet;
    }
    summary
}

fn counts(counts: PhaseCounts, skipped: u64) -> Counts {
    let PhaseCounts { enqueued, invalid, acknowledged, failed, .. } = counts;
    let unknown = enqueued.saturating_sub(acknowledged + failed);
    Counts { scheduled: enqueued + skipped, skipped, enqueued, invalid, acknowledged, failed, unknown }
}

/// `None` for a run without lifecycles. A change of the killed producer without a result was sent again.
fn changes(tally: &Tally, earlier: Option<&EarlierOrders>) -> Option<ChangesSummary> {
    let ChangeTally { enqueued, skipped, failed, by_status, lateness, acknowledgement, .. } = tally.changes.clone()?;
    let acknowledged = by_status.values().sum();
    let mut changes = ChangesSummary {
        scheduled: enqueued + skipped,
        skipped,
        enqueued,
        acknowledged,
        failed,
        unknown: enqueued.saturating_sub(acknowledged + failed),
        by_status,
        lateness_ms: lateness.summary(),
        acknowledgement_ms: acknowledgement.summary(),
    };
    if let Some(earlier) = earlier.and_then(|earlier| earlier.changes.as_ref()) {
        earlier.add_to(&mut changes);
    }
    Some(changes)
}

fn stall(sent: &Sent) -> StallSummary {
    sent.stall.map_or_else(StallSummary::default, |stall| StallSummary {
        seconds: stall.nanos() as f64 / 1e9,
        start_seconds: stall.start as f64 / 1e9,
        orders_due: sent.due_in_stall,
    })
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

/// Target and achieved rate. Both kinds of run are measured until the last acknowledgement, a paced one at least over
/// the length of its schedule. An unpaced run has no target.
fn rates(counts: Counts, seconds: f64, timing: Option<Timing>, fixed: Option<f64>) -> (Option<f64>, f64) {
    let (target, measured_seconds) = match timing {
        Some(Timing { length, .. }) if length.is_zero() => (None, 0.0),
        Some(timing) => {
            let mean = counts.scheduled as f64 / timing.length.as_secs_f64();
            (Some(fixed.unwrap_or(mean)), (timing.length + timing.tail).as_secs_f64())
        }
        None => (None, seconds),
    };
    let achieved = counts.acknowledged as f64 / measured_seconds;
    (target, if achieved.is_finite() { achieved } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run whose schedule has this length, with the last acknowledgement after this time.
    fn rate(orders: u64, length_ms: u64, acknowledged_after_ms: u64) -> f64 {
        let (length, end) = (Duration::from_millis(length_ms), Duration::from_millis(acknowledged_after_ms));
        let tail = end.saturating_sub(length);
        let timing = Timing { length, lateness: Duration::ZERO, tail, lateness_exceeded: false, queue_full: false };
        let counts = Counts { scheduled: orders, acknowledged: orders, ..Counts::default() };
        rates(counts, end.as_secs_f64(), Some(timing), None).1
    }

    #[test]
    fn the_rate_counts_to_the_last_acknowledgement_and_at_least_over_the_schedule() {
        assert_eq!(rate(60_000, 60_000, 59_999), 1_000.0);
        assert!((rate(60_000, 60_000, 60_004) / 1_000.0 - 1.0).abs() < 0.001, "on time within a tenth of a percent");
        assert_eq!(rate(10, 10, 13).round(), 769.0, "a short run");
        assert_eq!(rate(30_000, 30_000, 30_200).round(), 993.0, "a tail within the tolerance");
        assert_eq!(rate(30_000, 30_000, 40_000), 750.0, "a tail beyond it");
    }
}
