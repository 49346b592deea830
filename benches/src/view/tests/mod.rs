//! What the screen and the lines show of a run.

mod sizes;
mod terminal;
mod texts;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use ratatui::{Terminal, backend::TestBackend, buffer::Buffer};

use super::{
    Observation, Outline,
    screen::{Picture, Theme, draw},
    state::State,
};
use crate::{
    measure::{LatencyPoint, PartitionLag, ProcessKind, ProcessSample, Sample},
    report::model::Event,
    scenario::{Arrival, Phase},
};

fn phase(name: &str, from: f64, to: f64, seconds: u64) -> Phase {
    let (duration, arrival) = (Duration::from_secs(seconds), Arrival::Constant);
    Phase { name: name.to_owned(), from, to, duration, arrival, measured: name != "warm-up" }
}

fn at(seconds: f64) -> DateTime<Utc> {
    let start = Utc.with_ymd_and_hms(2026, 1, 2, 3, 4, 5).unwrap();
    start + TimeDelta::milliseconds((seconds * 1_000.0) as i64)
}

fn process(name: &str, kind: ProcessKind, cpu_cores: f64, mebibytes: u64) -> ProcessSample {
    ProcessSample {
        name: name.to_owned(),
        kind,
        is_running: true,
        cpu_cores,
        memory_bytes: mebibytes << 20,
        open_files: None,
    }
}

fn processes() -> Vec<ProcessSample> {
    let mut processes: Vec<_> =
        (1..=3).map(|number| process(&format!("kafka-{number}"), ProcessKind::Broker, 0.21, 612)).collect();
    processes.push(process("redis", ProcessKind::Redis, 0.01, 14));
    processes.push(process("postgres", ProcessKind::Postgres, 0.34, 1_740));
    processes.push(process("cache-worker", ProcessKind::CacheWorker, 0.002, 18));
    processes.push(process("producer-1", ProcessKind::Producer, 0.052, 41));
    processes.extend((1..=3).map(|number| process(&format!("consumer-{number}"), ProcessKind::Consumer, 0.061, 52)));
    processes.push(process("loadtest", ProcessKind::Loadtest, 0.018, 30));
    processes
}

fn latencies(factor: f64) -> Vec<LatencyPoint> {
    [
        ("sent", 0.04, 0.31, 1.2),
        ("ack", 3.647, 12.34, 31.0),
        ("stored", 5.21, 38.24, 1_234.5),
        ("insert", 1.1, 4.4, 9.9),
    ]
    .map(|(stage, p50, p99, max)| LatencyPoint {
        stage: stage.to_owned(),
        count: 1_000,
        p50: p50 * factor,
        p99: p99 * factor,
        max: max * factor,
    })
    .into()
}

/// The sample of a second of a run at 1,000 orders per second, in which everything sent is stored.
fn sample(second: i32) -> Sample {
    let count = (second.max(0) * 1_000) as u64;
    Sample {
        at: at(second.into()),
        seconds: second.into(),
        asked_rate: 1_000.0,
        sent: count,
        acknowledged: count,
        in_flight: 7,
        consumed: count,
        stored: count,
        rows_per_batch: Some(34.4),
        lag: (0..9)
            .map(|partition| PartitionLag {
                partition,
                records: 100 + partition as u64,
                consumer: format!("consumer-{}", partition / 3 + 1),
            })
            .collect(),
        latencies: latencies(1.0),
        recent_latencies: latencies(2.0),
        processes: processes(),
        ..Sample::default()
    }
}

fn outline() -> Outline {
    Outline {
        title: "chaos".to_owned(),
        run_id: "20260102-030405-ab12cd".to_owned(),
        phases: vec![
            phase("warm-up", 500.0, 500.0, 10),
            phase("steady", 1_000.0, 1_000.0, 50),
            phase("burst", 5_000.0, 5_000.0, 10),
            phase("cool-down", 500.0, 500.0, 20),
        ],
        logs: "runs/20260102-030405-ab12cd/logs".into(),
    }
}

/// The state after `seconds` seconds, the last of which have a fault and a consumer that is down.
fn state(seconds: i32) -> State {
    let mut state = State::default();
    let mut observe = |observation, second: i32| state.observe(observation, at(second.into()));
    observe(Observation::Outline(Arc::new(outline())), 0);
    observe(Observation::Step("load".to_owned()), 0);
    for second in 0..=seconds {
        if second == seconds - 3 {
            let lasting = Some(Duration::from_secs(15));
            observe(Observation::FaultBegan { fault: "kill consumer-2".to_owned(), lasting }, second);
        }
        let mut sample = sample(second);
        if second >= seconds - 3 {
            for process in sample.processes.iter_mut().filter(|process| process.name == "consumer-2") {
                process.is_running = false;
            }
            sample.stored -= sample.stored.min(200 * (second - seconds + 4) as u64);
        }
        observe(Observation::Sample(Arc::new(sample)), second);
    }
    let text = "consumer-1: 6 partitions assigned".to_owned();
    observe(Observation::Event(Event { seconds: seconds.into(), text }), seconds);
    state
}

fn drawn(state: &State, now: DateTime<Utc>, theme: Theme, width: u16, height: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(Picture { state, theme, now }, frame.buffer_mut())).unwrap();
    terminal.backend().buffer().clone()
}

/// The lines of a buffer, without the spaces at their ends.
fn lines(buffer: &Buffer) -> Vec<String> {
    let width = usize::from(buffer.area.width).max(1);
    let rows = buffer.content.chunks(width);
    rows.map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>().trim_end().to_owned()).collect()
}
