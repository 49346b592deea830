use super::{Overrides, Source, parse_source, parse_with, shown};

const FILE: &str = r#"description = "x" # what it shows
require = ["missing = 0"]

[phases.steady]
rate = 1000 # per second
duration = "30s"

[[faults]]
at = "10s"
action = "kill"
target = "redis"
for = "5s"
"#;

#[test]
fn a_value_of_the_command_line_has_priority_over_the_file() {
    let set = [
        "phases.steady.rate=2000",
        "phases.steady.duration = 1m",
        "phases.steady.rate=2.5k",
        "faults.0.target=consumer-2",
        "faults.0.at=\"12s\"",
        "load.consumers=2",
        "require=[\"stall < 5s\", \"missing = 0\"]",
        "several-brokers-down=true",
    ];
    let scenario = parse_with(FILE, &set).unwrap();
    assert_eq!((scenario.phases[0].to, scenario.length().as_secs()), (2_500.0, 60));
    assert_eq!(shown(&scenario.faults[0]), "12s kill consumer-2 for 5s");
    assert_eq!((scenario.load.consumers, scenario.requirements.len()), (2, 2));
    assert!(scenario.several_brokers_down);
    assert!(scenario.text.contains("rate = \"2.5k\" # per second"), "{}", scenario.text);
    let again = parse_with(&scenario.text, &[]).unwrap();
    assert_eq!((&again.phases, &again.faults, again.load.consumers), (&scenario.phases, &scenario.faults, 2));
}

#[test]
fn all_faults_can_be_removed_and_the_seed_be_set() {
    let scenario = parse_with(FILE, &["faults=[]"]).unwrap();
    assert!(scenario.faults.is_empty());
    let file = Source { name: "test.toml".to_owned(), text: FILE.to_owned() };
    let scenario = parse_source("test", file, &Overrides { set: vec!["load.seed=3".to_owned()], seed: Some(5) });
    assert_eq!(scenario.unwrap().load.seed, 5);
}

#[test]
fn a_wrong_argument_is_refused_with_its_place_and_what_would_be_right() {
    for (argument, column, expected) in [
        ("phases.steady.rate", 1, "`--set` needs KEY=VALUE"),
        ("=5", 1, "`--set` has no valid key"),
        ("phases..rate=5", 8, "`--set` has no valid key"),
        ("phases.stedy.rate=5", 8, "did you mean `steady`?"),
        ("phases.steady.raet=5", 15, "did you mean `rate`?"),
        ("phase.steady.rate=5", 1, "did you mean `phases`?"),
        ("faults.1.at=5s", 8, "`faults.0` is the only one"),
        ("faults.first.at=5s", 8, "`faults` has no element `first`"),
        ("description.text=5", 13, "`description` is a string and has no keys"),
        ("phases.steady.rate=-5", 20, "orders per second from 0"),
        ("phases.steady.rate=", 20, "orders per second from 0"),
        ("phases.steady.duration=0s", 24, "a duration above 0"),
        ("faults.0.at=40s", 13, "the schedule ends at 30s"),
        ("faults.0.target=consumer-4", 17, "consumer-1 to consumer-3 run then"),
        ("require=[\"stored < 5ms\"]", 9, "needs a percentile"),
    ] {
        let error = parse_with(FILE, &[argument]).expect_err(argument).to_string();
        assert!(error.contains(&format!(" --set:1:{column}\n")), "{argument}:\n{error}");
        assert!(error.contains(expected) && error.contains(argument), "{argument}:\n{error}");
    }
}
