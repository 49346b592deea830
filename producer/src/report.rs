//! Sums a run up.

use std::{fmt::Write, sync::Arc, time::Duration};

use roaring::RoaringTreemap;
use shared::{
    latency::LatencySummary,
    ledger::{Counts, JournalContents, RunId, RunSummary, Shard, Verdict},
    report::Report,
    telemetry::Readiness,
};
use tokio::sync::watch;

use crate::{
    publish::Sent,
    record::{Fates, SoFar, Tally},
    settings::LoadSettings,
};

/// A run whose last order was handed over later than this fraction of the run's length has missed its rate.
pub const RATE_TOLERANCE: f64 = 0.01;
/// In a short run that fraction is a hiccup of the machine; below this, no rate is missed.
pub const HICCUP: Duration = Duration::from_millis(250);
/// Orders that are on their way for this long without one being acknowledged are a sign that the brokers are gone.
const SILENCE: Duration = Duration::from_secs(5);

/// Sums up `tally`, the whole of what `shard` did in its run, of orders that were to be sent by `load`. What neither was
/// acknowledged nor has surely failed is of unknown fate.
pub fn summarize(run_id: RunId, shard: Shard, load: &LoadSettings, sent: &Sent, tally: &Tally) -> RunSummary {
    let (counts, warm_up) =
        (counts(tally.measured, sent.skipped.measured), counts(tally.warm_up, sent.skipped.warm_up));
    let since_start = |nanos: i64| (nanos as f64 / 1e9 - load.warm_up.as_secs_f64()).max(0.0);
    let seconds = tally.last_acknowledged.map_or(0.0, since_start);
    let late = Duration::from_nanos(u64::try_from(tally.last_late).unwrap_or_default());
    let lateness_ms = tally.lateness.summary();
    let timing = sent.length.map(|length| Timing {
        length,
        late,
        tail: Duration::try_from_secs_f64(seconds - length.as_secs_f64()).unwrap_or_default(),
        too_late: lateness_ms.p99 > load.lateness_bound.as_secs_f64() * 1_000.0,
        queue_full: tally.measured.queue_full > 0,
    });
    let (rate_asked, over) = match timing {
        Some(Timing { length, .. }) if length.is_zero() => (None, 0.0),
        Some(timing) => {
            let mean = counts.scheduled as f64 / timing.length.as_secs_f64();
            let delay = if timing.is_out_of_bounds(timing.tail) { timing.tail } else { late };
            (Some(load.fixed_rate(shard).unwrap_or(mean)), (timing.length + delay).as_secs_f64())
        }
        None => (None, seconds),
    };
    let rate_achieved = counts.acknowledged as f64 / over;
    RunSummary {
        run_id,
        shard,
        rate_asked,
        rate_achieved: if rate_achieved.is_finite() { rate_achieved } else { 0.0 },
        seconds,
        counts,
        warm_up,
        errors: tally.errors.clone(),
        queue_full: tally.measured.queue_full,
        lateness_ms,
        acknowledgement_ms: tally.acknowledgement.summary(),
        round_trip_ms: tally.round_trip.summary(),
        verdict: match sent.fatal {
            Some(_) => Verdict::Lossy,
            None => verdict(counts, warm_up, timing),
        },
    }
}

fn counts(fates: Fates, skipped: u64) -> Counts {
    let Fates { enqueued, invalid, acknowledged, failed, .. } = fates;
    let unknown = enqueued.saturating_sub(acknowledged + failed);
    Counts { scheduled: enqueued + skipped, skipped, enqueued, invalid, acknowledged, failed, unknown }
}

/// How a schedule was kept.
#[derive(Clone, Copy)]
struct Timing {
    /// The schedule's length.
    length: Duration,
    /// How late its last order was.
    late: Duration,
    /// How long after its end the last order was acknowledged.
    tail: Duration,
    /// Whether the lateness was out of its bound.
    too_late: bool,
    /// Whether the client's queue was ever full, which the brokers alone can empty.
    queue_full: bool,
}

impl Timing {
    /// Whether a delay at the schedule's end is more than a hiccup of the machine.
    fn is_out_of_bounds(&self, delay: Duration) -> bool {
        delay > self.length.mul_f64(RATE_TOLERANCE).max(HICCUP)
    }
}

fn verdict(counts: Counts, warm_up: Counts, timing: Option<Timing>) -> Verdict {
    let lost = [counts, warm_up].iter().any(|counts| counts.failed + counts.unknown > 0);
    let brokers = |timing: Timing| timing.queue_full || timing.is_out_of_bounds(timing.tail);
    let missed = |timing: &Timing| {
        let delayed = timing.is_out_of_bounds(timing.late) || timing.is_out_of_bounds(timing.tail);
        // What was ended before its first order has shown nothing.
        counts.skipped > 0 || counts.scheduled == 0 || timing.too_late || delayed
    };
    match timing.filter(missed) {
        _ if lost => Verdict::Lossy,
        None => Verdict::Valid,
        Some(timing) if brokers(timing) => Verdict::BrokerLimited,
        Some(_) => Verdict::GeneratorLimited,
    }
}

/// The summary for a person.
pub fn table(summary: &RunSummary) -> Report {
    let shard = match summary.shard {
        Shard::SINGLE => String::new(),
        shard => format!(", shard {shard}"),
    };
    let mut report = Report::about("run", &format!("{}{shard}", summary.run_id));
    let asked = match summary.rate_asked {
        Some(asked) => format!("{asked}/s asked, {:+.3} %", (summary.rate_achieved / asked - 1.0) * 100.0),
        None => "as many as the brokers acknowledged".to_owned(),
    };
    report.line("rate achieved", format!("{:.2}/s", summary.rate_achieved), asked);
    let counts = summary.counts;
    report.line("scheduled", counts.scheduled, format!("in {:.1} s", summary.seconds));
    report.line("skipped", counts.skipped, if counts.skipped > 0 { "too far behind to be caught up" } else { "" });
    let warm_up = |orders: u64| if orders > 0 { format!(", and {orders} to warm up") } else { String::new() };
    if counts.invalid > 0 {
        report.line("invalid", counts.invalid, "wrong on purpose: each is to end as a dead letter");
    }
    report.line(
        "acknowledged",
        counts.acknowledged,
        format!("by the brokers, all in-sync replicas{}", warm_up(summary.warm_up.acknowledged)),
    );
    report.line("failed", counts.failed, format!("surely not in the log{}", warm_up(summary.warm_up.failed)));
    report.line("unknown", counts.unknown, format!("may be in the log{}", warm_up(summary.warm_up.unknown)));
    if !summary.errors.is_empty() {
        let errors: Vec<String> = summary.errors.iter().map(|(name, count)| format!("{name} {count}")).collect();
        report.line("errors", summary.errors.values().sum::<u64>(), errors.join(", "));
    }
    report.line("queue full", summary.queue_full, "times that the client's queue took no more");
    for (what, from, figures) in [
        ("lateness", "due to sent", &summary.lateness_ms),
        ("acknowledgement", "due to acknowledged", &summary.acknowledgement_ms),
        ("round trip", "sent to acknowledged", &summary.round_trip_ms),
    ] {
        report.line(what, format!("p99 {} ms", figures.p99), format!("{from}: {}", latency(figures)));
    }
    report.line("verdict", summary.verdict, "");
    report
}

fn latency(summary: &LatencySummary) -> String {
    format!("p50 {} · p90 {} · p99.9 {} · max {} ms", summary.p50, summary.p90, summary.p999, summary.max)
}

/// What became of which order, a line a fate: `acknowledged 0-41,43`.
pub fn sequences(contents: &JournalContents) -> String {
    let fates =
        [("acknowledged", &contents.acknowledged), ("failed", &contents.failed), ("invalid", &contents.invalid)];
    let lines = fates.iter().filter(|(_, sequences)| !sequences.is_empty());
    lines.map(|(fate, sequences)| format!("{fate} {}", ranges(sequences))).collect::<Vec<_>>().join("\n")
}

fn ranges(sequences: &RoaringTreemap) -> String {
    let mut text = String::new();
    let mut rest = sequences.iter().peekable();
    while let Some(first) = rest.next() {
        let mut last = first;
        while let Some(next) = rest.next_if_eq(&(last + 1)) {
            last = next;
        }
        let comma = if text.is_empty() { "" } else { "," };
        let written = if last > first { write!(text, "{comma}{first}-{last}") } else { write!(text, "{comma}{first}") };
        written.expect("a String takes any text");
    }
    text
}

/// Ready is a producer whose orders are acknowledged.
pub fn readiness(so_far: watch::Receiver<SoFar>) -> Readiness {
    Arc::new(move || match so_far.borrow().well_at {
        None => Err("nothing has been sent yet".to_owned()),
        Some(at) if at.elapsed() > SILENCE => {
            Err(format!("orders are on their way, but none has been acknowledged for {} s", at.elapsed().as_secs()))
        }
        Some(_) => Ok(()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(enqueued: u64, acknowledged: u64, skipped: u64) -> Counts {
        counts(Fates { enqueued, acknowledged, ..Fates::default() }, skipped)
    }

    fn timing(length: u64, late: u64) -> Option<Timing> {
        let ms = Duration::from_millis;
        Some(Timing { length: ms(length), late: ms(late), tail: ms(late), too_late: false, queue_full: false })
    }

    fn of(counts: Counts, timing: Option<Timing>) -> Verdict {
        verdict(counts, Counts::default(), timing)
    }

    #[test]
    fn the_verdict_names_what_is_wrong_and_whose_fault_it_is() {
        let whole = sent(100, 100, 0);
        assert_eq!(of(whole, timing(60_000, 590)), Verdict::Valid);
        let in_time = |timing: Option<Timing>| timing.map(|timing| Timing { tail: Duration::ZERO, ..timing });
        assert_eq!(of(whole, in_time(timing(60_000, 610))), Verdict::GeneratorLimited);
        let slow = timing(60_000, 0).map(|timing| Timing { tail: Duration::from_secs(12), ..timing });
        assert_eq!(of(whole, slow), Verdict::BrokerLimited, "handed over in time, and acknowledged too slowly");
        assert_eq!(of(sent(0, 0, 0), timing(0, 0)), Verdict::GeneratorLimited, "nothing was shown");
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
    fn what_the_disk_did_not_take_is_printed_in_ranges() {
        let contents = JournalContents {
            acknowledged: (0..42).chain(43..44).chain(50..52).collect(),
            invalid: [7].into_iter().collect(),
            ..JournalContents::default()
        };
        assert_eq!(sequences(&contents), "acknowledged 0-41,43,50-51\ninvalid 7");
    }

    #[test]
    fn a_hiccup_at_the_end_of_a_short_run_is_no_missed_rate() {
        assert_eq!(of(sent(10, 10, 0), timing(10, 200)), Verdict::Valid);
        assert_eq!(of(sent(10, 10, 0), timing(10, 260)), Verdict::BrokerLimited);
    }
}
