//! `loadtest run` on servers that are not broken, from the scenario to the report.

use std::{path::PathBuf, time::Duration};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use testbed::Testbed;

use super::{
    reported_run::{assert_balanced, assert_is_measured, end, faults, loadtest_run, processes_of, report},
    scenario::wait_until_stored,
};

/// Writes a scenario to a file of the test.
fn scenario_file(bed: &Testbed, scenario: &str) -> PathBuf {
    let file = bed.folder().join("test.toml");
    std::fs::write(&file, scenario).unwrap();
    file
}

fn events_of<'a>(report: &'a Value, program: &str) -> Vec<&'a str> {
    let events = report["events"].as_array().unwrap().iter().map(|event| event["text"].as_str().unwrap());
    events.filter(|text| text.starts_with(program)).collect()
}

fn reasons(report: &Value) -> Vec<String> {
    let reasons = report["verdict"]["reasons"].as_array().unwrap();
    reasons.iter().map(|reason| reason.as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_in_the_middle_leaves_a_partial_report_and_nothing_running() {
    let bed = Testbed::new("run_interrupted").await;
    let scenario = "description = \"long\"\n[load]\nproducers = 2\nconsumers = 2\n[phases.steady]\nrate = 200\nduration = \"5m\"\n";
    let running = loadtest_run(&bed, scenario_file(&bed, scenario)).spawn().unwrap();
    wait_until_stored(&bed, 200).await;
    kill_process_group(Pid::from_child(&running), Signal::INT).unwrap();
    let output = end(running).await;
    let (folder, report, log) = report(&bed, &output);
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(log.contains("error: interrupted: the report in "), "{log}");
    assert_eq!((&report["interrupted"], &report["verdict"]["valid"]), (&true.into(), &false.into()));
    assert!(report["audit"].is_null() && reasons(&report)[0].contains("interrupted"), "{report}");
    let (counts, producers) = (&report["counts"], report["producers"].as_array().unwrap());
    let acknowledged = producers.iter().map(|producer| producer["acknowledged"].as_u64().unwrap()).sum::<u64>();
    assert!(producers.len() == 2 && acknowledged >= 200, "{report}");
    assert_eq!(counts["acknowledged"], acknowledged);
    assert_eq!(processes_of(&folder), Vec::<String>::new());
    for file in ["scenario.toml", "settings.json", "logs/consumer-1.log", "1-of-2/summary.json", "stats"] {
        assert!(folder.join(file).exists(), "{file}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "half a minute: run by deploy/test --long"]
async fn rows_that_are_deleted_or_changed_make_a_run_not_valid_for_that_reason() {
    let bed = Testbed::new("run_mutants").await;
    let scenario = "description = \"mutants\"\nrequire = [\"missing = 0\", \"stored p99 < 1h\"]\n[load]\nconsumers = 1\n\
                    [phases.steady]\nrate = 300\nduration = \"6s\"\n";
    let running = loadtest_run(&bed, scenario_file(&bed, scenario)).spawn().unwrap();
    wait_until_stored(&bed, 300).await;
    // These orders are committed: nothing stores them again.
    let sql = bed.sql().await;
    let deleted = "DELETE FROM orders WHERE order_id IN (SELECT order_id FROM orders ORDER BY order_id LIMIT 3)";
    assert_eq!(sql.execute(deleted, &[]).await.unwrap(), 3);
    let changed = "UPDATE orders SET total_amount = total_amount + 1 \
                   WHERE order_id = (SELECT order_id FROM orders ORDER BY order_id LIMIT 1)";
    assert_eq!(sql.execute(changed, &[]).await.unwrap(), 1);
    let output = end(running).await;
    let (_, report, log) = report(&bed, &output);
    assert_eq!(output.status.code(), Some(3), "{log}");
    let reasons = reasons(&report);
    for expected in ["3 orders are missing", "1 row differs", "the requirement missing = 0 is not met: measured 3"] {
        assert!(reasons.iter().any(|reason| reason.contains(expected)), "{expected}: {reasons:?}");
    }
    assert_eq!((&report["counts"]["missing"], &report["counts"]["altered"]), (&3.into(), &1.into()));
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&printed["counts"], &printed["verdict"]), (&report["counts"], &report["verdict"]));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "half a minute: run by deploy/test --long"]
async fn a_run_in_which_a_consumer_is_killed_and_the_cache_worker_paused_is_valid_and_tells_when() {
    let bed = Testbed::new("run_faults").await;
    let scenario = r#"
        description = "two faults"
        require = ["missing = 0", "altered = 0", "stall < 1m"]
        [load]
        producers = 2
        consumers = 2
        [phases.warm-up]
        rate = 100
        duration = "2s"
        measured = false
        [phases.steady]
        rate = 300
        duration = "12s"
        [[faults]]
        at = "3s"
        action = "kill"
        target = "consumer-1"
        for = "2s"
        [[faults]]
        at = "6s"
        action = "pause"
        target = "cache-worker"
        for = "1s"
    "#;
    let output = end(loadtest_run(&bed, scenario_file(&bed, scenario)).spawn().unwrap()).await;
    let (folder, report, log) = report(&bed, &output);
    assert_eq!(output.status.code(), Some(0), "{}: {log}", report["verdict"]);
    assert_balanced(&report, 2 * 100 + 12 * 300);
    let faults = faults(&report);
    let names: Vec<&str> = faults.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["kill consumer-1", "pause cache-worker"]);
    for ((name, began, ended), lasting) in faults.iter().zip([2, 1]) {
        let lasted = (*ended - *began).to_std().unwrap();
        assert!(
            lasted >= Duration::from_secs(lasting) && lasted < Duration::from_secs(lasting + 15),
            "{name}: {lasted:?}"
        );
    }
    assert!(report["faults"][1]["recovery"].is_object(), "{report}");
    let lines = std::fs::read_to_string(folder.join("faults.jsonl")).unwrap();
    assert_eq!(lines.lines().filter(|line| line.contains("consumer-1")).count(), 2, "{lines}");
    assert_eq!(
        events_of(&report, "consumer-1")[..3],
        ["consumer-1 started", "consumer-1 killed", "consumer-1 started"]
    );
    assert!(report["timeline"]["seconds"].as_array().unwrap().len() >= 12, "{log}");
    assert_is_measured(&report, &["consumer-1", "consumer-2", "producer-1", "producer-2", "cache-worker"]);
    let cpu = report["processes"].as_array().unwrap().iter().find(|process| process["name"] == "loadtest");
    assert!(cpu.is_some_and(|process| process["cpu_cores"].as_f64().unwrap() > 0.0), "{}", report["processes"]);
    assert!(std::fs::read_to_string(folder.join("report.html")).unwrap().contains("kill consumer-1"));
    assert_eq!(processes_of(&folder), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "half a minute: run by deploy/test --long"]
async fn a_killed_producer_resumes_at_the_end_of_the_fault_and_its_orders_are_stored_once() {
    let bed = Testbed::new("run_resumes").await;
    let scenario = r#"
        description = "a killed producer"
        require = ["missing = 0", "altered = 0"]
        [load]
        producers = 2
        [phases.steady]
        rate = 300
        duration = "12s"
        [[faults]]
        at = "3s"
        action = "kill"
        target = "producer-2"
        for = "2s"
    "#;
    let output = end(loadtest_run(&bed, scenario_file(&bed, scenario)).spawn().unwrap()).await;
    let (_, report, log) = report(&bed, &output);
    assert_eq!(output.status.code(), Some(0), "{}: {log}", report["verdict"]);
    let counts = &report["counts"];
    let count = |name: &str| counts[name].as_u64().unwrap_or_else(|| panic!("{name}: {counts}"));
    // What was due while the second producer was down is not sent, and that is half of the orders of two seconds.
    let sent = 12 * 300 - 2 * 150;
    assert!((1_800 + 450..=sent).contains(&count("acknowledged")), "{counts}");
    assert!(count("stored") >= count("acknowledged"), "{counts}");
    assert_eq!((count("missing"), count("altered"), count("stored_twice")), (0, 0, 0), "{counts}");
    assert_eq!(
        events_of(&report, "producer-2")[..3],
        ["producer-2 started", "producer-2 killed", "producer-2 started"]
    );
    assert!(report["faults"][0]["ended_at"].is_string(), "{}", report["faults"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_scenarios_and_faults_that_need_a_stack_are_refused_before_anything_is_started() {
    let bed = Testbed::new("run_refused").await;
    let phase = "description = \"refused\"\n[phases.steady]\nrate = 10\nduration = \"5s\"\n";
    let broken = format!("{phase}[[faults]]\nat = \"1s\"\naction = \"kill\"\ntarget = \"kafka-2\"\nfor = \"1s\"\n");
    for (scenario, words, has_stack) in [
        (phase.replace("rate", "rat"), "rat", true),
        (phase.replace("5s", "0s"), "duration", true),
        (broken.replace("kafka-2", "consumer-9"), "consumer-9", true),
        (broken, "the fault kill kafka-2 needs a stack", false),
    ] {
        let mut loadtest = loadtest_run(&bed, scenario_file(&bed, &scenario));
        if !has_stack {
            loadtest.env_remove("ORDERFLOW_STACK");
        }
        let output = end(loadtest.spawn().unwrap()).await;
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{log}");
        assert!(log.contains(words) && output.stdout.is_empty(), "{words}: {log}");
    }
    assert!(!bed.runs().exists());
}
