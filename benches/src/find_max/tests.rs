//! Figures of a probe for the tests of what judges them.

use std::{collections::BTreeMap, time::Duration};

use shared::{
    latency::{Latencies, LatencySummary},
    ledger::{Counts, RunSummary, Shard, StallSummary, Verdict},
};

use super::{
    figures::{CpuByKind, ProbeEnd, ProbeFigures},
    search::{Probe, ProbeLength},
};

/// A probe without lag in which each order was stored after `stored_ms`.
pub fn figures(rate: f64, stored_ms: u64) -> ProbeFigures {
    let mut stored = Latencies::default();
    stored.record_nanos(Duration::from_millis(stored_ms).as_nanos() as i64);
    let summary = RunSummary {
        run_id: "probe".parse().unwrap(),
        shard: Shard::SINGLE,
        resumed_at: None,
        rate_asked: Some(rate),
        rate_achieved: rate,
        tail_seconds: Some(0.0),
        seconds: 17.0,
        stall: StallSummary::default(),
        counts: Counts::default(),
        warm_up: Counts::default(),
        changes: None,
        errors: BTreeMap::new(),
        queue_full: 0,
        lateness_ms: LatencySummary::default(),
        acknowledgement_ms: LatencySummary::default(),
        round_trip_ms: LatencySummary::default(),
        requirements: Vec::new(),
        verdict: Verdict::Valid,
    };
    let figures = ProbeFigures {
        probe: Probe { rate, length: ProbeLength::Full },
        seconds: 17.0,
        summary,
        ack: LatencySummary::default(),
        stored,
        stages: BTreeMap::new(),
        lag: Vec::new(),
        max_in_flight: 0,
        missing: 0,
        end: ProbeEnd::Complete,
        backlog: None,
        cpu: CpuByKind::default(),
        machine_cores: None,
        processes: Vec::new(),
    };
    with_lag(figures, 0.0)
}

/// The same with a lag that grows each second by `growth` of the rate.
pub fn with_lag(figures: ProbeFigures, growth: f64) -> ProbeFigures {
    let rate = figures.probe.rate;
    let lag = (0..17).map(|second| (f64::from(second), 0.01 * rate + growth * rate * f64::from(second))).collect();
    ProbeFigures { lag, ..figures }
}
