//! Sums a run up.

use std::time::{Duration, Instant};

use shared::{
    latency::LatencySummary,
    ledger::{Counts, RunId, RunSummary, Verdict},
    report::Report,
};

use crate::{
    deliver::Start,
    pace::Rate,
    publish::Sent,
    record::{Fates, Tally},
    settings::LoadSettings,
};

/// A run whose last order was handed over later than this fraction of the run's length has missed its rate.
pub const RATE_TOLERANCE: f64 = 0.01;
/// In a short run that fraction is a hiccup of the machine; below this, no rate is missed.
pub const HICCUP: Duration = Duration::from_millis(250);

/// Sums up `tally`, the whole run's, of orders that were to be sent by `load` from `start` on. What the deadline of the flush
/// left in flight is of unknown fate.
pub fn summarize(run_id: RunId, load: &LoadSettings, start: Start, sent: &Sent, tally: &Tally) -> RunSummary {
    let (counts, warm_up) = (counts(tally.measured, sent.skipped), counts(tally.warm_up, 0));
    let since_start = |at: Instant| at.saturating_duration_since(start.instant + load.warm_up);
    let seconds = tally.last_acknowledged.map_or(0.0, |last| since_start(last).as_secs_f64());
    let late = Duration::from_nanos(u64::try_from(tally.last_late).unwrap_or_default());
    let (rate_asked, rate_achieved) = match sent.length {
        Some(length) => {
            let asked = load.fixed_rate().map(Rate::per_second);
            let mean = counts.scheduled as f64 / length.as_secs_f64();
            (Some(asked.unwrap_or(mean)), counts.enqueued as f64 / (length + late).as_secs_f64())
        }
        None => (None, counts.acknowledged as f64 / seconds),
    };
    let lateness_ms = tally.lateness.summary();
    let timing = Timing {
        length: sent.length.unwrap_or_default(),
        late,
        too_late: lateness_ms.p99 > load.lateness_bound.as_secs_f64() * 1_000.0,
        queue_full: tally.queue_full > 0,
    };
    RunSummary {
        run_id,
        rate_asked,
        rate_achieved: if rate_achieved.is_finite() { rate_achieved } else { 0.0 },
        seconds,
        counts,
        warm_up,
        errors: tally.errors.clone(),
        queue_full: tally.queue_full,
        lateness_ms,
        acknowledgement_ms: tally.acknowledgement.summary(),
        verdict: verdict(counts, warm_up, sent.length.map(|_| timing)),
    }
}

fn counts(fates: Fates, skipped: u64) -> Counts {
    let Fates { enqueued, acknowledged, failed } = fates;
    let unknown = enqueued.saturating_sub(acknowledged + failed);
    Counts { scheduled: enqueued + skipped, skipped, enqueued, acknowledged, failed, unknown }
}

/// How a schedule was kept.
#[derive(Clone, Copy)]
struct Timing {
    /// The schedule's length.
    length: Duration,
    /// How late its last order was.
    late: Duration,
    /// Whether the lateness was out of its bound.
    too_late: bool,
    /// Whether the client's queue was ever full, which the brokers alone can empty.
    queue_full: bool,
}

fn verdict(counts: Counts, warm_up: Counts, timing: Option<Timing>) -> Verdict {
    let lost = [counts, warm_up].iter().any(|counts| counts.failed + counts.unknown > 0);
    let missed = |timing: &Timing| {
        let late = timing.late > timing.length.mul_f64(RATE_TOLERANCE).max(HICCUP);
        counts.skipped > 0 || late || timing.too_late
    };
    match timing.filter(missed) {
        _ if lost => Verdict::Lossy,
        None => Verdict::Valid,
        Some(timing) if timing.queue_full => Verdict::BrokerLimited,
        Some(_) => Verdict::GeneratorLimited,
    }
}

/// The summary for a person.
pub fn table(summary: &RunSummary) -> Report {
    let mut report = Report::about("run", &summary.run_id.to_string());
    let asked = match summary.rate_asked {
        Some(asked) => format!("{asked}/s asked, {:+.3} %", (summary.rate_achieved / asked - 1.0) * 100.0),
        None => "as many as the brokers acknowledged".to_owned(),
    };
    report.line("rate achieved", format!("{:.2}/s", summary.rate_achieved), asked);
    let counts = summary.counts;
    report.line("scheduled", counts.scheduled, format!("in {:.1} s", summary.seconds));
    report.line("skipped", counts.skipped, if counts.skipped > 0 { "too far behind to be caught up" } else { "" });
    let warm_up = match summary.warm_up.acknowledged {
        0 => String::new(),
        orders => format!(", and {orders} to warm up"),
    };
    report.line("acknowledged", counts.acknowledged, format!("by the brokers, all in-sync replicas{warm_up}"));
    let errors: Vec<String> = summary.errors.iter().map(|(name, count)| format!("{name} {count}")).collect();
    report.line("failed", counts.failed, errors.join(", "));
    report.line("unknown", counts.unknown, if counts.unknown > 0 { "may be in the log" } else { "" });
    report.line("queue full", summary.queue_full, "times that the client's queue took no more");
    report.line("lateness", format!("p99 {} ms", summary.lateness_ms.p99), latency(&summary.lateness_ms));
    let acknowledgement = &summary.acknowledgement_ms;
    report.line("acknowledgement", format!("p99 {} ms", acknowledgement.p99), latency(acknowledgement));
    report.line("verdict", summary.verdict, "");
    report
}

fn latency(summary: &LatencySummary) -> String {
    format!("from due: p50 {} · p90 {} · p99.9 {} · max {} ms", summary.p50, summary.p90, summary.p999, summary.max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(enqueued: u64, acknowledged: u64, skipped: u64) -> Counts {
        counts(Fates { enqueued, acknowledged, failed: 0 }, skipped)
    }

    fn timing(length: u64, late: u64) -> Option<Timing> {
        let ms = Duration::from_millis;
        Some(Timing { length: ms(length), late: ms(late), too_late: false, queue_full: false })
    }

    fn of(counts: Counts, timing: Option<Timing>) -> Verdict {
        verdict(counts, Counts::default(), timing)
    }

    #[test]
    fn the_verdict_names_what_is_wrong_and_whose_fault_it_is() {
        let whole = sent(100, 100, 0);
        assert_eq!(of(whole, timing(60_000, 590)), Verdict::Valid);
        assert_eq!(of(whole, timing(60_000, 610)), Verdict::GeneratorLimited);
        assert_eq!(of(sent(99, 99, 1), timing(60_000, 0)), Verdict::GeneratorLimited);
        let too_late = timing(60_000, 0).map(|timing| Timing { too_late: true, ..timing });
        assert_eq!(of(whole, too_late), Verdict::GeneratorLimited);
        let full = too_late.map(|timing| Timing { queue_full: true, ..timing });
        assert_eq!(of(whole, full), Verdict::BrokerLimited);
        assert_eq!(of(sent(100, 99, 0), full), Verdict::Lossy);
        assert_eq!(verdict(whole, sent(5, 4, 0), timing(60_000, 0)), Verdict::Lossy);
        assert_eq!(of(whole, None), Verdict::Valid);
    }

    #[test]
    fn a_hiccup_at_the_end_of_a_short_run_is_no_missed_rate() {
        assert_eq!(of(sent(10, 10, 0), timing(10, 200)), Verdict::Valid);
        assert_eq!(of(sent(10, 10, 0), timing(10, 260)), Verdict::GeneratorLimited);
    }
}
