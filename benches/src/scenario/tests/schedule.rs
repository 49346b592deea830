use std::time::Duration;

use clap::Parser;
use producer::settings::Command;

use super::{parse, parse_with, shown};

const SHAPES: &str = r#"
description = "Every shape"
require = ["stored p99 < 50ms", "missing = 0"]
several-brokers-down = true

[load]
producers = 2
consumers = 5
source = "builtin"
invalid = "0.1%"
seed = 7

[phases.warm-up]
rate = 100
duration = "10s"
measured = false

[phases.ramp]
from = 0
rate = "1k"
duration = "20s"

[phases.pause]
rate = 0
duration = "500ms"

[phases.burst]
rate = 2000.5
duration = "2s"
arrival = "poisson"

[[faults]]
at = "25s"
action = "skew-clock"
target = "consumer-5"
offset = "-5s"
for = "2s"

[[faults]]
at = "0s"
action = "kill"
target = "kafka-2"
for = "10s"
"#;

#[test]
fn a_scenario_has_what_its_file_says() {
    let scenario = parse(SHAPES).unwrap();
    let load = &scenario.load;
    assert_eq!((load.producers, load.consumers, load.source.as_str(), load.seed), (2, 5, "builtin", 7));
    assert!((load.invalid - 0.001).abs() < 1e-12);
    assert_eq!((scenario.name.as_str(), scenario.description.as_str()), ("test", "Every shape"));
    assert_eq!(scenario.requirements.len(), 2);
    assert!(scenario.several_brokers_down);
    let faults: Vec<String> = scenario.faults.iter().map(shown).collect();
    assert_eq!(faults, ["0ns kill kafka-2 for 10s", "25s skew-clock consumer-5 -5000ms for 2s"]);
    assert_eq!(scenario.text, SHAPES);
}

#[test]
fn the_rate_asked_follows_the_phases() {
    let scenario = parse(SHAPES).unwrap();
    assert_eq!(scenario.length(), Duration::from_millis(32_500));
    assert_eq!(scenario.warm_up(), Duration::from_secs(10));
    for (seconds, rate) in
        [(-0.1, 0.0), (0.0, 100.0), (9.99, 100.0), (10.0, 0.0), (20.0, 500.0), (30.2, 0.0), (30.5, 2000.5), (32.5, 0.0)]
    {
        assert!((scenario.asked_rate(seconds) - rate).abs() < 1e-9, "{seconds}: {}", scenario.asked_rate(seconds));
    }
    assert_eq!((scenario.expected_orders(), scenario.measured_orders()), (1_000 + 10_000 + 4_001, 10_000 + 4_001));
}

#[test]
fn the_producer_takes_the_phases_as_steps() {
    let scenario = parse(SHAPES).unwrap();
    let steps = scenario.steps();
    assert_eq!(steps, "100:10s:warm-up,0-1000:20s,0:500ms,2000.5:2s:poisson");
    let constant = parse_with(SHAPES, &["phases.burst.arrival=constant"]).unwrap();
    let arguments = ["producer", "--source", "builtin", "--steps", &constant.steps()];
    let command = Command::try_parse_from(arguments).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(command.plan().unwrap().pacer.expected(), Some(constant.expected_orders()));
}

#[test]
fn what_a_file_leaves_out_has_a_default() {
    let scenario = parse("description = 'x'\n[phases.main]\nrate = 5\nduration = '1s'").unwrap();
    let load = &scenario.load;
    assert_eq!((load.producers, load.consumers, load.source.as_str(), load.seed), (1, 3, "redis", 1));
    assert_eq!(load.invalid, 0.0);
    assert!(scenario.phases[0].measured && scenario.faults.is_empty() && !scenario.several_brokers_down);
}
