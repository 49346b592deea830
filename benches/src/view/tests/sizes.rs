use proptest::{collection::vec, prelude::*};

use super::*;

prop_compose! {
    fn any_sample()(
        (seconds, asked_rate) in (-1e4..1e6_f64, prop_oneof![Just(0.0), 0.0..1e9, Just(f64::NAN), Just(f64::INFINITY)]),
        counts in vec(any::<u64>(), 7),
        lag in vec((any::<u32>(), "[a-z가-힣-]{0,30}"), 0..40),
        latencies in vec(("[a-z ]{0,30}", any::<u64>(), 0.0..1e12_f64), 0..20),
        processes in vec(("[a-z0-9가-힣-]{0,40}", any::<bool>(), 0.0..1e3_f64, any::<u64>()), 0..40),
    ) -> Sample {
        let lag = lag.into_iter().zip(0..).map(|((records, consumer), partition)| {
            PartitionLag { partition, records: records.into(), consumer }
        });
        let latencies = latencies.into_iter().map(|(stage, count, value)| {
            LatencyPoint { stage, count, p50: value / 9.0, p99: value, max: value * 3.0 }
        });
        let processes = processes.into_iter().map(|(name, is_running, cpu_cores, memory_bytes)| ProcessSample {
            is_running,
            memory_bytes,
            ..process(&name, ProcessKind::Consumer, cpu_cores, 0)
        });
        let latencies: Vec<_> = latencies.collect();
        Sample {
            at: at(seconds),
            seconds,
            asked_rate,
            sent: counts[0],
            acknowledged: counts[1],
            in_flight: counts[2],
            stored: counts[3],
            duplicates: counts[4],
            dead_lettered: counts[5],
            lag: lag.collect(),
            recent_latencies: latencies.iter().rev().cloned().collect(),
            latencies,
            processes: processes.collect(),
            ..Sample::default()
        }
    }
}

fn any_observation() -> impl Strategy<Value = Observation> {
    let text = "[ -~가-힣\u{1b}\n]{0,200}";
    let phases = vec(("[a-z가-힣]{0,20}", 0_u64..1_000), 0..8);
    prop_oneof![
        8 => any_sample().prop_map(|sample| Observation::Sample(Arc::new(sample))),
        1 => phases.prop_map(|phases| {
            let phases = phases.into_iter().map(|(name, seconds)| phase(&name, 1.0, 2.0, seconds)).collect();
            Observation::Outline(Arc::new(Outline { phases, ..outline() }))
        }),
        2 => (text, any::<Option<u64>>()).prop_map(|(fault, seconds)| {
            Observation::FaultBegan { fault, lasting: seconds.map(Duration::from_secs) }
        }),
        1 => text.prop_map(|text| Observation::Event(Event { seconds: 1.0, text })),
        1 => text.prop_map(Observation::Step),
        1 => text.prop_map(|fault| Observation::FaultEnded { fault, error: None }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_run_is_drawn_at_any_size(
        observations in vec((any_observation(), 0.0..1e5_f64), 0..30),
        (width, height) in (0_u16..260, 0_u16..80),
        now in 0.0..1e5_f64,
    ) {
        let mut state = State::default();
        for (observation, seconds) in observations {
            state.observe(observation, at(seconds));
        }
        drawn(&state, at(now), Theme::Colored, width, height);
        crate::view::lines::line(&state, at(now));
    }
}

#[test]
fn each_size_from_nothing_to_a_large_screen_is_drawn() {
    let state = state(42);
    for (width, height) in (0..140).flat_map(|width| (0..46).map(move |height| (width, height))).step_by(7) {
        drawn(&state, at(42.0), Theme::Plain, width, height);
    }
}

#[test]
fn a_phase_with_wide_characters_is_drawn_at_each_small_size() {
    let name = format!("a{}", "가".repeat(60));
    let mut state = State::default();
    let phases = vec![phase(&name, 1.0, 2.0, 60)];
    state.observe(Observation::Outline(Arc::new(Outline { phases, ..outline() })), at(0.0));
    state.observe(Observation::Sample(Arc::new(sample(1))), at(1.0));
    for (width, height) in (0..60).flat_map(|width| [2, 9, 40].map(|height| (width, height))) {
        drawn(&state, at(2.0), Theme::Plain, width, height);
    }
}
