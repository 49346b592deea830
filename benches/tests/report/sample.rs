//! A report with plausible values: a run of four phases and four faults.

use std::{
    collections::BTreeMap,
    ops::{Range, RangeInclusive},
};

use benches::{
    fault::{FaultRecord, Recovery},
    report::model::{
        Chart, Event, Machine, PhaseFigures, ProcessFigures, RunCounts, RunReport, RunVerdict, ScenarioSummary, Series,
        StageLatencies, Timeline, VERSION,
    },
};
use chrono::{DateTime, TimeDelta, Utc};
use orderdb::audit::report::{AuditReport, ChangesReport, StageSummary};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use shared::{
    latency::LatencySummary,
    ledger::{Counts, RunId, RunSummary, StallSummary, Verdict},
    requirement::RequirementResult,
};

/// Of ten parts of the run, one is warm-up, five are steady, two a burst, and two cool down.
const PHASES: [(&str, Range<usize>, f64); 4] =
    [("warm-up", 0..1, 1_000.0), ("steady", 1..6, 1_000.0), ("burst", 6..8, 2_500.0), ("cool-down", 8..10, 500.0)];

const SERVERS: [(&str, f64, f64); 5] = [
    ("kafka-1", 0.11, 410.0),
    ("kafka-2", 0.12, 402.0),
    ("kafka-3", 0.10, 415.0),
    ("redis", 0.012, 9.0),
    ("postgres", 0.21, 145.0),
];

const PROGRAMS: [(&str, f64, f64); 6] = [
    ("producer-1", 0.031, 21.0),
    ("consumer-1", 0.042, 34.0),
    ("consumer-2", 0.041, 33.0),
    ("consumer-3", 0.044, 35.0),
    ("cache-worker", 0.003, 11.0),
    ("loadtest", 0.018, 26.0),
];

/// A run of `seconds`, a multiple of ten, with `seed`.
pub fn sample(run_id: &str, seconds: usize, seed: u64) -> RunReport {
    let started_at: DateTime<Utc> = "2026-11-25T09:30:00Z".parse().unwrap();
    let at = |second: f64| started_at + TimeDelta::milliseconds((second * 1_000.0) as i64);
    let part = seconds as f64 / 10.0;
    let faults = [
        ("kill kafka-2", 2.0 * part, Some(2.9 * part), None, Some((1.4, 2.1))),
        ("pause consumer-1", 4.0 * part, Some(4.5 * part), None, Some((2.0, 6.2))),
        ("restart redis", 6.5 * part, None, None, Some((0.0, 0.0))),
        (
            "lock-table orders",
            7.6 * part,
            Some(7.9 * part),
            Some("the lock was taken 1.2 s late: canceling statement due to lock timeout"),
            None,
        ),
    ];
    let faults = faults.map(|(fault, begin, end, error, recovery)| FaultRecord {
        fault: fault.to_owned(),
        planned_seconds: begin,
        began_at: at(begin + 0.213),
        ended_at: end.map(|end| at(end + 0.341)),
        error: error.map(str::to_owned),
        recovery: recovery.map(|(rate, lag)| Recovery { stored_rate_seconds: Some(rate), lag_seconds: Some(lag) }),
    });
    let timeline = timeline(seconds, seed);
    let scheduled: u64 = (part * (5.0 * 1_000.0 + 2.0 * 2_500.0 + 2.0 * 500.0)) as u64;
    let counts = Counts {
        scheduled,
        skipped: 0,
        enqueued: scheduled,
        invalid: 0,
        acknowledged: scheduled,
        failed: 0,
        unknown: 0,
    };
    let run_id: RunId = run_id.parse().unwrap();
    RunReport {
        version: VERSION,
        run_id: run_id.to_string(),
        scenario: ScenarioSummary {
            name: "rolling-faults".to_owned(),
            description: "A steady load and a burst, while a broker, a consumer, Redis and a table fail in turn."
                .to_owned(),
            seed,
            text: SCENARIO.to_owned(),
        },
        started_at,
        ended_at: at(seconds as f64 + 4.2),
        interrupted: false,
        verdict: RunVerdict {
            valid: false,
            sentence: "132,000 orders acknowledged, all stored once; one of seven requirements is not met".to_owned(),
            reasons: vec!["stored p99 < 40ms is not met: 50.683 ms".to_owned()],
        },
        requirements: requirements(),
        counts: RunCounts {
            scheduled,
            acknowledged: scheduled,
            stored: scheduled,
            duplicates: 312,
            ..RunCounts::default()
        },
        latencies: [("sent", 0.031), ("ack", 3.1), ("stored", 5.9), ("queue", 0.21), ("enrich", 0.12), ("insert", 1.9)]
            .map(|(stage, median)| stage_latencies(stage, median, scheduled))
            .to_vec(),
        phases: phases(part, scheduled),
        timeline,
        faults: faults.to_vec(),
        events: events(part),
        producers: vec![producer_summary(&run_id, counts, part)],
        audit: Some(audit(&run_id, scheduled)),
        processes: processes(),
        machine: Machine {
            cpu: "AMD EPYC 9R14".to_owned(),
            cores: 2,
            memory_bytes: 24 << 30,
            system: "Debian GNU/Linux 12 (bookworm), Linux 6.1.0".to_owned(),
        },
        versions: [
            ("kafka", "4.1.1"),
            ("postgres", "15.14"),
            ("redis", "7.0.15"),
            ("orderflow", "0.1.0"),
            ("librdkafka", "2.12.1"),
        ]
        .map(|(name, version)| (name.to_owned(), version.to_owned()))
        .into(),
    }
}

const SCENARIO: &str = r#"description = "A steady load and a burst, while servers and programs fail in turn."
require = ["missing = 0", "altered = 0", "stored p99 < 40ms", "stall < 10s"]

[load]
producers = 1
consumers = 3

[[phases]]
name = "warm-up"
rate = 1000
duration = "12s"
measured = false

[[faults]]
at = "24s"
kill = "kafka-2"
for = "11s"
"#;

fn requirements() -> Vec<RequirementResult> {
    [
        ("missing = 0", Some(0.0), "", true),
        ("altered = 0", Some(0.0), "", true),
        ("stored p99 < 40ms", Some(50.683), "ms", false),
        ("ack p99 < 500ms", Some(412.159), "ms", true),
        ("stall < 10s", Some(3_113.5), "ms", true),
        ("rate_error < 1%", Some(0.0213), "%", true),
        ("rate > 900/s", Some(1_221.9), "/s", true),
    ]
    .map(|(requirement, measured, unit, met)| RequirementResult {
        requirement: requirement.to_owned(),
        measured,
        unit: unit.to_owned(),
        met,
    })
    .to_vec()
}

fn latency(median: f64, count: u64) -> LatencySummary {
    let at = |quantile: f64| quantile_of(median, quantile);
    let max = at(1.0 - 1.0 / count as f64);
    LatencySummary { count, p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max, clock_skew: 0 }
}

/// A distribution with a long tail, to the microsecond.
fn quantile_of(median: f64, quantile: f64) -> f64 {
    let tail = (0.5 / (1.0 - quantile)).powf(0.55) - 0.35 * (1.0 - 2.0 * quantile).max(0.0);
    (median * tail * 1_000.0).round() / 1_000.0
}

fn stage_latencies(stage: &str, median: f64, count: u64) -> StageLatencies {
    let mut distribution = vec![(0.0, quantile_of(median, 0.0))];
    let mut remaining = 1.0;
    while remaining > 1.0 / count as f64 {
        for step in 1..=5 {
            let quantile = 1.0 - remaining * (1.0 - 0.1 * f64::from(step));
            distribution.push((quantile, quantile_of(median, quantile)));
        }
        remaining /= 2.0;
    }
    let summary = latency(median, count);
    distribution.retain(|(_, ms)| *ms < summary.max);
    distribution.push((1.0, summary.max));
    StageLatencies { stage: stage.to_owned(), summary, distribution }
}

fn phases(part: f64, scheduled: u64) -> Vec<PhaseFigures> {
    PHASES
        .into_iter()
        .map(|(name, parts, rate)| PhaseFigures {
            name: name.to_owned(),
            start_seconds: parts.start as f64 * part,
            end_seconds: parts.end as f64 * part,
            measured: name != "warm-up",
            asked_rate: rate,
            acknowledged_rate: rate * 0.9998,
            stored_rate: rate * 0.9871,
            latencies: [("sent", 0.03), ("ack", 3.0), ("stored", 5.8)]
                .map(|(stage, median)| (stage.to_owned(), latency(median * rate / 800.0, scheduled / 4)))
                .into(),
        })
        .collect()
}

fn events(part: f64) -> Vec<Event> {
    [
        (0.0, "phase warm-up begins"),
        (part, "phase steady begins"),
        (2.0 * part + 0.2, "kafka-2 is killed"),
        (2.9 * part + 0.3, "kafka-2 is ready"),
        (4.0 * part + 0.2, "consumer-1 is paused"),
        (4.2 * part, "partitions 0, 1, 2 of consumer-1 are revoked, and assigned to consumer-2 and consumer-3"),
        (6.0 * part, "phase burst begins"),
        (8.0 * part, "phase cool-down begins"),
    ]
    .map(|(seconds, text)| Event { seconds, text: text.to_owned() })
    .to_vec()
}

fn producer_summary(run_id: &RunId, counts: Counts, part: f64) -> RunSummary {
    RunSummary {
        run_id: run_id.clone(),
        shard: "1/1".parse().unwrap(),
        resumed_at: None,
        rate_asked: Some(1_222.2),
        rate_achieved: 1_221.9,
        tail_seconds: Some(0.003),
        seconds: 9.0 * part,
        stall: StallSummary { seconds: 3.1135, start_seconds: 2.0 * part, orders_due: Some(3_113) },
        counts,
        warm_up: Counts { scheduled: (part * 1_000.0) as u64, ..Counts::default() },
        changes: None,
        errors: BTreeMap::new(),
        queue_full: 0,
        lateness_ms: latency(0.031, counts.acknowledged),
        acknowledgement_ms: latency(3.1, counts.acknowledged),
        round_trip_ms: latency(2.9, counts.acknowledged),
        requirements: Vec::new(),
        verdict: Verdict::Valid,
    }
}

fn audit(run_id: &RunId, orders: u64) -> AuditReport {
    AuditReport {
        run_id: run_id.clone(),
        producers: 1,
        finished: true,
        ledger_contradictions: Vec::new(),
        acknowledged: orders,
        failed: 0,
        in_topic: orders,
        topic_repeats: 0,
        conflicting: 0,
        stored: orders,
        altered: 0,
        altered_fields: 0,
        altered_attributes: 0,
        altered_sample: Vec::new(),
        unchecked: 0,
        unchecked_without_record: 0,
        without_record: 0,
        unchecked_updated: 0,
        dead_lettered: 0,
        replayed: 0,
        unexpected_dead_letters: 0,
        dead_letter_causes: BTreeMap::new(),
        invalid: 0,
        invalid_stored: 0,
        expired: 0,
        expired_unstored: 0,
        topic_beginnings: BTreeMap::new(),
        missing_from_topic: 0,
        missing: 0,
        unexpected: 0,
        unexplained: 0,
        latency_ms: Some(latency(5.9, orders)),
        latency_coverage: Some(1.0),
        stages_ms: vec![StageSummary { stage: "insert".into(), latency: latency(1.9, orders) }],
        changes: Some(ChangesReport {
            acknowledged: 2 * orders,
            in_topic: 2 * orders,
            stored: 2 * orders,
            latency_ms: Some(latency(6.1, 2 * orders)),
            latency_coverage: Some(1.0),
            ..ChangesReport::default()
        }),
    }
}

fn processes() -> Vec<ProcessFigures> {
    SERVERS
        .iter()
        .chain(&PROGRAMS)
        .map(|(name, cpu, megabytes)| ProcessFigures {
            name: (*name).to_owned(),
            cpu_cores: *cpu,
            max_memory_bytes: (megabytes * 1_048_576.0) as u64,
            max_open_files: (*name != "redis").then_some(40 + (megabytes / 4.0) as u64),
        })
        .collect()
}

/// The state of the simulated pipeline, a second at a time.
struct Simulation {
    random: StdRng,
    lag: [f64; 9],
}

fn timeline(seconds: usize, seed: u64) -> Timeline {
    let part = seconds as f64 / 10.0;
    let mut simulation = Simulation { random: StdRng::seed_from_u64(seed), lag: [0.0; 9] };
    let mut series: Vec<Series> = Vec::new();
    let mut times = Vec::new();
    for second in 0..seconds {
        times.push(second as f64 + 0.004);
        for (chart, name, value) in simulation.step(second as f64 / part, second) {
            match series.iter_mut().find(|known| known.chart == chart && known.name == name) {
                Some(known) => known.values.push(value),
                None => series.push(Series { chart, name, values: vec![value] }),
            }
        }
    }
    Timeline { seconds: times, series }
}

impl Simulation {
    fn around(&mut self, value: f64, spread: f64) -> f64 {
        value * (1.0 + spread * self.random.random_range(-1.0..1.0))
    }

    /// The values of a second; `part` is the tenth of the run.
    fn step(&mut self, part: f64, second: usize) -> Vec<(Chart, String, Option<f64>)> {
        let within = |range: RangeInclusive<f64>| range.contains(&part);
        let asked = PHASES.iter().find(|(_, parts, _)| part < parts.end as f64).map_or(500.0, |(_, _, rate)| *rate);
        let (broker_down, paused, locked) = (within(2.0..=2.9), within(4.0..=4.5), within(7.6..=7.9));
        let electing = within(2.0..=2.25);
        let mut values = Vec::new();
        let mut add = |chart, name: &str, value: Option<f64>| values.push((chart, name.to_owned(), value));
        let sent = self.around(asked, 0.002);
        let acknowledged = if electing { self.around(asked * 0.66, 0.1) } else { self.around(asked, 0.006) };
        let mut stored = 0.0;
        for (partition, of) in self.owners(part).into_iter().enumerate() {
            let waiting = self.lag[partition] + acknowledged / 9.0;
            let stopped = locked || (paused && part < 4.2 && of == 1);
            let taken = if stopped { 0.0 } else { waiting.min(460.0) };
            self.lag[partition] = waiting - taken;
            stored += taken;
            let shown = (self.lag[partition] + self.random.random_range(0.0..9.0)).floor();
            add(Chart::PartitionLag, &partition.to_string(), Some(shown));
        }
        for (name, value) in [("asked", asked), ("sent", sent), ("acknowledged", acknowledged), ("stored", stored)] {
            add(Chart::Rate, name, Some(value.round()));
        }
        // Of orders some seconds before.
        for (name, value) in [("sent", sent), ("acknowledged", acknowledged), ("stored", stored)] {
            add(Chart::ChangeRate, name, Some((value * 2.5 * (part / 2.0).min(1.0)).round()));
        }
        let waiting: f64 = self.lag.iter().sum();
        let slow = if electing { 60.0 } else { self.around(1.0, 0.3) };
        for (stage, median, delay) in [
            ("sent", 0.031, 0.0),
            ("ack", 3.1 * slow, 0.0),
            ("stored", 5.9 * slow, waiting / 1.5),
            ("change sent", 0.034, 0.0),
            ("change ack", 3.2 * slow, 0.0),
            ("change stored", 6.3 * slow, waiting / 1.5),
            ("queue", 0.21, waiting / 2.5),
            ("enrich", 0.12, 0.0),
            ("insert", 1.9, if locked { 1_200.0 } else { 0.0 }),
        ] {
            for (percentile, factor) in [("p50", 1.0), ("p99", 6.4), ("max", 14.0)] {
                let value = (stored > 0.0).then(|| self.around(median * factor, 0.2) + delay);
                add(Chart::Latency, &format!("{stage} {percentile}"), value);
            }
        }
        for consumer in 1..=3 {
            let owned: Vec<usize> = (0..9).filter(|partition| self.owners(part)[*partition] == consumer).collect();
            let lag: f64 = owned.iter().map(|partition| self.lag[*partition].floor()).sum();
            let name = format!("consumer-{consumer}");
            add(Chart::Assignment, &name, Some(owned.len() as f64));
            add(Chart::ConsumerLag, &name, Some(lag));
        }
        add(Chart::BatchRows, "rows per batch", (stored > 0.0).then(|| self.around(stored / 160.0, 0.15)));
        let hits = if within(6.5..=6.6) { 0.93 } else { 0.9991 };
        add(Chart::HitRate, "lookup cache", (stored > 0.0).then(|| self.around(hits, 0.0005).min(1.0)));
        for (name, cores, megabytes) in SERVERS.into_iter().chain(PROGRAMS) {
            let up = !(broker_down && name == "kafka-2");
            let cpu = self.around(cores * (0.4 + 0.6 * stored / 1_000.0), 0.12);
            add(Chart::Cpu, name, up.then_some(cpu));
            let memory = self.around(megabytes * (1.0 + (second as f64).ln_1p() / 60.0), 0.004) * 1_048_576.0;
            add(Chart::Memory, name, up.then_some(memory.round()));
            let files = (40.0 + megabytes / 4.0).floor();
            add(Chart::OpenFiles, name, (up && name != "redis").then_some(files));
        }
        values
    }

    /// The consumer of each partition.
    fn owners(&self, part: f64) -> [u8; 9] {
        if (4.2..4.7).contains(&part) { [2, 2, 3, 2, 2, 2, 3, 3, 3] } else { [1, 1, 1, 2, 2, 2, 3, 3, 3] }
    }
}
