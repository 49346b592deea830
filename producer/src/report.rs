//! Sums a run up.

use std::time::Duration;

use shared::{
    latency::LatencySummary,
    ledger::{Counts, RunId, RunSummary, Verdict},
    report::Report,
};

use crate::{pace::Rate, publish::Start, record::Tally};

/// A run whose last order was handed over later than this fraction of the run's length has missed its rate.
pub const RATE_TOLERANCE: f64 = 0.01;
/// In a short run that fraction is a hiccup of the machine; below this, no rate is missed.
pub const HICCUP: Duration = Duration::from_millis(250);

/// Sums up `tally`, the whole run's. Orders that the deadline of the flush left in flight are of unknown fate.
pub fn summarize(run_id: RunId, rate: Rate, start: Start, tally: &Tally) -> RunSummary {
    let (acknowledged, failed) = (tally.acknowledged.len(), tally.failed.len());
    let counts = Counts {
        scheduled: tally.enqueued,
        enqueued: tally.enqueued,
        acknowledged,
        failed,
        unknown: tally.enqueued.saturating_sub(acknowledged + failed),
    };
    // From the first due time to the last order handed over there are n − 1 gaps; one more makes it n orders in n gaps.
    let sending = tally.last_enqueued.map_or(Duration::ZERO, |last| last.duration_since(start.instant));
    let length = Duration::from_nanos(rate.due_nanos(tally.enqueued));
    let gap = Duration::from_nanos(rate.due_nanos(1));
    let late = (sending + gap).saturating_sub(length);
    let received = tally.last_acknowledged.map_or(sending, |last| last.duration_since(start.instant));
    RunSummary {
        run_id,
        rate_asked: rate.per_second(),
        rate_achieved: tally.enqueued as f64 / (sending + gap).as_secs_f64(),
        seconds: received.as_secs_f64(),
        counts,
        errors: tally.errors.clone(),
        queue_full: tally.queue_full,
        lateness_ms: tally.lateness.summary(),
        acknowledgement_ms: tally.acknowledgement.summary(),
        verdict: verdict(counts, length, late),
    }
}

/// What a run of `length` is worth whose last order was handed over `late`.
fn verdict(counts: Counts, length: Duration, late: Duration) -> Verdict {
    if counts.acknowledged < counts.scheduled {
        Verdict::Lossy
    } else if late > length.mul_f64(RATE_TOLERANCE).max(HICCUP) {
        Verdict::RateMissed
    } else {
        Verdict::Valid
    }
}

/// The summary for a person.
pub fn table(summary: &RunSummary) -> Report {
    let mut report = Report::about("run", &summary.run_id.to_string());
    let off = (summary.rate_achieved / summary.rate_asked - 1.0) * 100.0;
    report.line(
        "rate achieved",
        format!("{:.2}/s", summary.rate_achieved),
        format!("{}/s asked, {off:+.3} %", summary.rate_asked),
    );
    let counts = summary.counts;
    report.line("scheduled", counts.scheduled, format!("in {:.1} s", summary.seconds));
    report.line("acknowledged", counts.acknowledged, "by the brokers, all in-sync replicas");
    let errors: Vec<String> = summary.errors.iter().map(|(name, count)| format!("{name} {count}")).collect();
    report.line("failed", counts.failed, errors.join(", "));
    report.line("unknown", counts.unknown, if counts.unknown > 0 { "may be in the log" } else { "" });
    report.line("queue full", summary.queue_full, "times that the client's queue took no more");
    report.line("lateness", format!("p99 {} ms", summary.lateness_ms.p99), latency(&summary.lateness_ms));
    report.line(
        "acknowledgement",
        format!("p99 {} ms", summary.acknowledgement_ms.p99),
        latency(&summary.acknowledgement_ms),
    );
    report.line("verdict", summary.verdict, "");
    report
}

fn latency(summary: &LatencySummary) -> String {
    format!("from due: p50 {} · p90 {} · p99.9 {} · max {} ms", summary.p50, summary.p90, summary.p999, summary.max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(scheduled: u64, acknowledged: u64) -> Counts {
        Counts { scheduled, enqueued: scheduled, acknowledged, failed: 0, unknown: scheduled - acknowledged }
    }

    #[test]
    fn the_verdict_names_what_is_wrong() {
        let (minute, ms) = (Duration::from_secs(60), Duration::from_millis);
        assert_eq!(verdict(counts(100, 100), minute, ms(590)), Verdict::Valid);
        assert_eq!(verdict(counts(100, 100), minute, ms(610)), Verdict::RateMissed);
        assert_eq!(verdict(counts(100, 99), minute, ms(0)), Verdict::Lossy);
    }

    #[test]
    fn a_hiccup_at_the_end_of_a_short_run_is_no_missed_rate() {
        assert_eq!(verdict(counts(10, 10), Duration::from_millis(10), Duration::from_millis(200)), Verdict::Valid);
        assert_eq!(verdict(counts(10, 10), Duration::from_millis(10), Duration::from_millis(260)), Verdict::RateMissed);
    }
}
