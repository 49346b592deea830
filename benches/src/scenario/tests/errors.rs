use super::parse;

const PHASES: &str = "[phases.warm-up]\nrate = 100\nduration = \"10s\"\nmeasured = false\n\
                      [phases.steady]\nrate = 1000\nduration = \"50s\"\n";

/// The error of a file that has `top`, the lines of [`PHASES`], and `rest`.
fn error(top: &str, rest: &str) -> String {
    let text = format!("description = \"x\"\n{top}{PHASES}{rest}");
    parse(&text).map(|_| ()).expect_err(&format!("{top}{rest}")).to_string()
}

fn fault(at: &str, rest: &str) -> String {
    format!("[[faults]]\nat = \"{at}\"\n{rest}\n")
}

#[test]
fn an_error_has_the_line_the_column_the_line_itself_and_what_would_be_right() {
    let text = "description = \"x\"\n\n[phases.steady]\n  raet = 1000\n  duration = \"10s\"\n";
    let expected = "\
error: unknown key `raet` in [phases.steady]
 --> test.toml:4:3
  |
4 |   raet = 1000
  |   ^^^^ unknown key
  |
  = help: did you mean `rate`?";
    assert_eq!(parse(text).unwrap_err().to_string(), expected);
}

#[test]
fn an_error_about_two_places_shows_both() {
    let first = fault("20s", "action = \"kill\"\ntarget = \"kafka-1\"\nfor = \"5s\"");
    let second = fault("30s", "action = \"pause\"\ntarget = \"kafka-2\"\nfor = \"5s\"");
    let shown = error("", &(first + &second));
    for line in [
        "error: `pause kafka-2` at 30s: two brokers would be down",
        " --> test.toml:15:6",
        "\"kafka-1\"",
        "until 35s",
        "^^^^^ too early",
        "a write needs two of three replicas; `several-brokers-down = true` allows this fault",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
}

#[test]
fn all_errors_are_shown_in_the_order_of_the_file() {
    let shown = error("require = [\"stall\", \"missing = 0\", \"mising = 0\"]\n", &fault("1s", "action = \"burn\""));
    let places: Vec<&str> = shown.lines().filter_map(|line| line.trim().strip_prefix("--> test.toml:")).collect();
    assert_eq!(places, ["2:12", "2:36", "12:10"]);
    assert!(shown.contains("did you mean `missing`?"), "{shown}");
}

#[test]
fn a_wrong_file_is_refused() {
    for (top, rest, expected) in [
        ("descripton = \"x\"\n", "", "did you mean `description`?"),
        ("load = 5\n", "", "[load] must be a table"),
        ("", "[load]\nconsumers = 0\n", "`consumers` can't be 0"),
        ("", "[load]\nproducers = 65\n", "a whole number from 1 to 64"),
        ("", "[load]\nsource = \"bultin\"\n", "did you mean \"builtin\"?"),
        ("", "[load]\ninvalid = \"101%\"\n", "a share from \"0%\" to \"100%\""),
        ("", "[load]\nseed = -1\n", "`seed` can't be -1"),
        ("", "[load]\nseed = 1979-05-27\n", "`seed` can't be a date"),
        ("require = \"missing = 0\"\n", "", "expected a list"),
        ("require = [\"stored < 5ms\"]\n", "", "'stored' is a latency and needs a percentile"),
        ("", "require = [\"missing = 0\"]\n", "belongs to the top of the file"),
        ("", "[chaos]\nevery = \"1s\"\n", "expected at least \"3s\""),
        ("", "[chaos]\nevery = \"2m\"\n", "`[chaos]` has no fault"),
        ("", "[chaos]\nevery = \"8s\"\nkinds = [\"kil\"]\n", "did you mean \"kill\"?"),
        ("several-brokers-down = \"yes\"\n", "", "expected true or false"),
        ("a = 10s\n", "", "did you mean `a = \"10s\"`?"),
        ("a = \n", "", "not valid TOML"),
    ] {
        let shown = error(top, rest);
        assert!(shown.contains(expected), "{top}{rest}\n{shown}");
    }
}

#[test]
fn a_wrong_schedule_is_refused() {
    for (phases, expected) in [
        ("", "the scenario has no `phases`"),
        ("[phases]", "the scenario has no phase"),
        ("phases = 5", "a phase is a table with a name"),
        ("[phases.a]\nrate = 5", "[phases.a] has no `duration`"),
        ("[phases.a]\nduration = '5s'", "[phases.a] has no `rate`"),
        ("[phases.a]\nrate = 5\nduration = '0s'", "expected a duration above 0"),
        ("[phases.a]\nrate = 5\nduration = 30", "did you mean \"30s\"?"),
        ("[phases.a]\nrate = 5\nduration = '30'", "a duration with its unit"),
        ("[phases.a]\nrate = 5\nduration = '8d'", "at most \"7d\""),
        ("[phases.a]\nrate = 0\nduration = '5s'", "every phase has a rate of 0"),
        ("[phases.a]\nrate = -1\nduration = '5s'", "`rate` can't be -1"),
        ("[phases.a]\nrate = 1e9\nduration = '5s'", "orders per second from 0"),
        ("[phases.a]\nrate = 1\nfrom = true\nduration = '5s'", "`from` can't be a boolean"),
        ("[phases.a]\nrate = 5\nduration = '5s'\narrival = 'uniform'", "one of `constant`, `poisson`"),
        ("[phases.a]\nrate = 5\nduration = '5s'\nmeasured = false", "no phase is measured"),
        (
            "[phases.a]\nrate = 5\nduration = '5s'\nmeasured = false\n[phases.b]\nrate = 0\nduration = '5s'",
            "the measured phases have a rate of 0",
        ),
        (
            "[phases.a]\nrate = 5\nduration = '5s'\n[phases.b]\nrate = 5\nduration = '5s'\nmeasured = false",
            "the phase `b` is not measured, and comes after a measured one",
        ),
    ] {
        let text = format!("description = \"x\"\n{phases}\n");
        let shown = parse(&text).expect_err(phases).to_string();
        assert!(shown.contains(expected), "{phases}\n{shown}");
    }
}

#[test]
fn a_fault_that_can_not_be_is_refused() {
    for (at, rest, expected) in [
        ("60s", "action = 'kill-backend'", "the schedule ends at 1m"),
        ("55s", "action = 'kill'\ntarget = 'redis'\nfor = '6s'", "ends at 1m 1s, after the schedule"),
        ("5s", "action = 'kill'\ntarget = 'consumer-4'\nfor = '6s'", "consumer-1 to consumer-3 run then"),
        ("5s", "action = 'pause'\ntarget = 'producer-2'\nfor = '6s'", "there is no producer-2"),
        ("5s", "action = 'kill'\ntarget = 'kafka-4'\nfor = '6s'", "there is no target \"kafka-4\""),
        ("5s", "action = 'kill'\ntarget = 'kafka2'\nfor = '6s'", "did you mean \"kafka-2\"?"),
        ("5s", "action = 'kill'\nfor = '6s'", "[[faults]] has no `target`"),
        ("5s", "action = 'kill'\ntarget = 'redis'", "`kill` needs a duration"),
        ("5s", "action = 'restart'\ntarget = 'producer-1'", "use kill or pause"),
        ("5s", "action = 'restart'\ntarget = 'redis'\nfor = '6s'", "`restart` has no `for`"),
        ("5s", "action = 'kill-backend'\ntarget = 'postgres'", "it is always postgres"),
        ("5s", "action = 'slow-link'\ntarget = 'postgres'\nfor = '5s'", "[[faults]] has no `delay`"),
        ("5s", "action = 'cut-link'\ntarget = 'consumer-1'\nfor = '5s'", "a link leads to a server"),
        ("5s", "action = 'skew-clock'\ntarget = 'redis'\noffset = '+5s'\nfor = '5s'", "only a program"),
        ("5s", "action = 'skew-clock'\ntarget = 'consumer-1'\noffset = 5\nfor = '5s'", "an offset of the clock"),
        ("5s", "action = 'lock-table'\ntable = 'order'\nfor = '5s'", "did you mean \"orders\"?"),
        ("5s", "action = 'scale-consumers'\ntarget = 'consumer-1'", "`scale-consumers` has no `target`"),
        ("soon", "action = 'kill-backend'", "a duration with its unit"),
    ] {
        let shown = error("", &fault(at, rest));
        assert!(shown.contains(expected), "{at} {rest}\n{shown}");
    }
}

#[test]
fn faults_that_disturb_each_other_are_refused() {
    let kill = |target: &str| format!("action = 'kill'\ntarget = '{target}'\nfor = '6s'");
    let scale = |number: u16| format!("action = 'scale-consumers'\nconsumers = {number}");
    for (first, second, expected) in [
        (("10s", kill("redis")), ("15s", kill("redis")), "begins while `kill redis` is in force"),
        (("15s", kill("redis")), ("10s", kill("redis")), "begins while `kill redis` is in force"),
        (("10s", kill("postgres")), ("12s", "action = 'kill-backend'".to_owned()), "in force until 16s"),
        (("10s", scale(5)), ("10s", scale(2)), "begins while `scale-consumers 5` is in force"),
        (("10s", scale(1)), ("12s", kill("consumer-2")), "only consumer-1 runs then"),
        (("10s", kill("consumer-3")), ("12s", scale(2)), "there is no consumer-3 at 10s"),
        (("10s", kill("kafka-1")), ("20s", kill("kafka-2")), "two brokers would be down"),
    ] {
        let shown = error("", &(fault(first.0, &first.1) + &fault(second.0, &second.1)));
        assert!(shown.contains(expected), "{first:?} {second:?}\n{shown}");
    }
    let allowed = [
        (("10s", kill("redis")), ("16s", kill("redis"))),
        (("10s", kill("redis")), ("12s", kill("postgres"))),
        (("10s", scale(5)), ("12s", kill("consumer-5"))),
        (("10s", kill("kafka-1")), ("26s", kill("kafka-2"))),
    ];
    for (first, second) in allowed {
        let faults = fault(first.0, &first.1) + &fault(second.0, &second.1);
        parse(&format!("description = 'x'\n{PHASES}{faults}")).unwrap_or_else(|error| panic!("{faults}\n{error}"));
    }
    let two = fault("10s", &kill("kafka-1")) + &fault("12s", &kill("kafka-2"));
    assert!(parse(&format!("description = 'x'\nseveral-brokers-down = true\n{PHASES}{two}")).is_ok());
}

#[test]
fn a_lifecycle_is_checked_before_anything_starts() {
    for (value, expected) in [
        ("1", "expected true, false, or a text with the path of a file"),
        ("\"/nowhere/life.toml\"", "the file can't be read"),
        ("\"Cargo.toml\"", "the file is no lifecycle"),
    ] {
        let shown = error("", &format!("[load]\nlifecycle = {value}\n"));
        assert!(shown.contains(expected), "{shown}");
    }
}
