//! Runs against the real brokers.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::process::{Command, Output, Stdio};

use shared::ledger::{RunSummary, Verdict};
use testbed::Testbed;

fn command(bed: &Testbed, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_producer"));
    command.args(arguments).args(["--output", "json"]).envs(bed.environment());
    command
}

fn summary(output: &Output) -> RunSummary {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test]
async fn a_run_has_exactly_the_orders_that_were_asked_for_at_the_rate_that_was_asked_for() {
    let bed = Testbed::new("exact_run").await;
    testbed::fill_cache(&bed).await;
    for arguments in [&["--rate", "300", "--duration", "2s"][..], &["--rate", "300", "--count", "600"]] {
        let output = command(&bed, arguments).output().unwrap();
        let summary = summary(&output);
        assert_eq!((summary.counts.scheduled, summary.counts.acknowledged), (600, 600));
        // Whether a machine that runs tests side by side holds the rate is not for a test to say; that the exit code
        // tells it, is.
        let code = if summary.verdict == Verdict::Valid { 0 } else { 3 };
        assert_eq!(output.status.code(), Some(code), "{summary:?}");

        let runs = shared::ledger::RunsDirectory { runs_dir: bed.runs() };
        let (run, journal, kept) = runs.read(&summary.run_id).unwrap();
        assert_eq!(journal.acknowledged, (0..600).collect());
        assert_eq!(kept.unwrap().counts, summary.counts);
        let (kafka, topic) = (bed.kafka.clone(), bed.topic.topic.clone());
        let scanning = move || orderdb::audit::log::sequences(&kafka, &topic, run.tag, run.started_at).unwrap();
        let in_topic = tokio::task::spawn_blocking(scanning).await.unwrap();
        assert_eq!((in_topic.sequences.len(), in_topic.repeats), (600, 0));
    }
}

#[tokio::test]
async fn an_interrupted_run_sums_up_what_it_sent() {
    let bed = Testbed::new("interrupted").await;
    testbed::fill_cache(&bed).await;
    let child = command(&bed, &["--rate", "500"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    let journal =
        || std::fs::read_dir(bed.runs()).ok()?.next()?.ok()?.path().join("acknowledged.journal").metadata().ok();
    let patience = std::time::Duration::from_secs(30);
    testbed::eventually("orders are acknowledged", patience, async || {
        journal().is_some_and(|journal| journal.len() > 0)
    })
    .await;
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let summary = summary(&output);
    assert_ne!(summary.verdict, Verdict::Lossy, "{summary:?}");
    assert!(summary.counts.acknowledged > 0 && summary.counts.acknowledged == summary.counts.scheduled);
}
