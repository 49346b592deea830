//! Producers that are killed, and started again with `--resume`.

use std::process::{Child, Output, Stdio};

use benches::process::command;
use rustix::process::{Pid, Signal, kill_process};
use shared::ledger::{JournalContents, RunSummary, RunsFolder, Shard, read_journal};

use super::scenario::{Scenario, TIMEOUT, wait_until_stored};

/// A run of two shards without end.
struct SharedRun<'a> {
    scenario: &'a Scenario,
    start_at: String,
}

impl SharedRun<'_> {
    fn start(&self, shard: &str, more: &[&str]) -> Child {
        let mut producer = command("producer").unwrap();
        let run = ["--run-id", "resumed", "--start-at", &self.start_at, "--shard", shard, "--output", "json"];
        let load = ["--rate", "400", "--warm-up", "1s", "--invalid", "5%", "--catch-up", "1m"];
        producer.args(run).args(load).args(more).envs(self.scenario.bed.environment());
        producer.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn runs(&self) -> RunsFolder {
        RunsFolder { runs_dir: self.scenario.bed.runs() }
    }

    /// The journal of the first shard.
    fn journal(&self) -> JournalContents {
        let first: Shard = "1/2".parse().unwrap();
        let folder = self.runs().shard_folder(&"resumed".parse().unwrap(), first);
        read_journal(&folder.join("acknowledged.journal")).unwrap_or_default()
    }

    /// Waits until the journal of the first shard has this many acknowledged orders.
    async fn wait_until_acknowledged(&self, orders: u64) {
        let has_them = async || self.journal().acknowledged.len() >= orders;
        testbed::eventually("orders of the shard are acknowledged", TIMEOUT, has_them).await;
    }

    /// Expects that the first shard is not resumed.
    async fn assert_refused(&self, more: &[&str], expected: &str) {
        let output = ended(self.start("1/2", &[&["--resume"], more].concat())).await;
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains(expected) && output.stdout.is_empty(), "{expected:?} is not in: {message}");
    }
}

async fn ended(producer: Child) -> Output {
    tokio::task::spawn_blocking(move || producer.wait_with_output()).await.unwrap().unwrap()
}

async fn stop(producer: Child) -> RunSummary {
    kill_process(Pid::from_child(&producer), Signal::INT).unwrap();
    let output = ended(producer).await;
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test]
async fn a_killed_shard_is_resumed_without_sending_an_order_twice_and_the_run_is_audited_as_one() {
    let mut scenario = Scenario::start("resumed", 400, "4s", 1).await;
    let start_at = testbed::shared_start().to_rfc3339();
    let run = SharedRun { scenario: &scenario, start_at };
    let (mut first, second) = (run.start("1/2", &[]), run.start("2/2", &[]));
    run.wait_until_acknowledged(300).await;
    run.assert_refused(&[], "another process writes it").await;
    first.kill().unwrap();
    first.wait().unwrap();
    let before = run.journal();
    run.assert_refused(&["--seed", "7"], "seed was").await;
    run.assert_refused(&["--lateness-bound", "9s"], "load was").await;

    let again = run.start("1/2", &["--resume"]);
    run.wait_until_acknowledged(before.acknowledged.len() + 300).await;
    let (first, second) = (stop(again).await, stop(second).await);
    run.assert_refused(&[], "has ended").await;
    let after = run.journal();
    assert!(after.acknowledged.is_superset(&before.acknowledged) && after.invalid.is_superset(&before.invalid));
    // What was due until the restart and has no result is unknown, whether it was sent or not.
    assert!(first.resumed_at.is_some() && first.unknown() > 0 && second.resumed_at.is_none(), "{first:?}");
    assert_eq!(first.warm_up.scheduled, 200, "the warm-up of 1 s, of which the first shard has every second order");
    for counts in [first.counts, first.warm_up] {
        assert_eq!(counts.scheduled, counts.enqueued + counts.skipped, "{first:?}");
        assert_eq!(counts.enqueued, counts.acknowledged + counts.failed + counts.unknown, "{first:?}");
    }

    wait_until_stored(&scenario.bed, 1).await;
    let run_id = first.run_id.clone();
    scenario.drain().await;
    let report = scenario.audit(run_id).await;
    assert!(report.is_balanced() && report.is_valid() && report.finished, "{report:?}");
    let acknowledged = |summary: &RunSummary| summary.counts.acknowledged + summary.warm_up.acknowledged;
    assert_eq!(report.acknowledged, acknowledged(&first) + acknowledged(&second), "{report:?}");
    assert_eq!((report.missing, report.topic_repeats, report.unexplained), (0, 0, 0), "{report:?}");
    assert!(report.in_topic >= report.acknowledged && report.unexpected <= first.unknown(), "{report:?}");
    scenario.end().await;
}
