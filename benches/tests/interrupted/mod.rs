//! `loadtest` that is told to stop, and one that leaves its programs running.

use std::{
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use benches::process::command;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use shared::{kafka::KafkaSettings, ledger::RunsFolder};
use testbed::{Testbed, eventually};

use super::scenario::{TIMEOUT, arguments, wait_until_stored};

/// Starts a program as a shell does, as the leader of a process group of its own.
fn start(mut command: Command) -> Child {
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Sends a signal to the process group, as the terminal does for Ctrl-C, and waits for the end.
async fn interrupt(child: Child, signal: Signal) -> Output {
    kill_process_group(Pid::from_child(&child), signal).unwrap();
    end(child).await
}

async fn end(child: Child) -> Output {
    tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap()
}

fn script(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}

/// A folder with `loadtest`, beside scripts that run the other programs and write each signal that they get to a file
/// in `signals`, one file a process.
fn counting_programs(bed: &Testbed, signals: &Path) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&bed.name);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::create_dir_all(signals).unwrap();
    let real = |program: &str| command(program).unwrap().get_program().to_str().unwrap().to_owned();
    let _ = std::fs::remove_file(folder.join("loadtest"));
    std::fs::hard_link(real("loadtest"), folder.join("loadtest")).unwrap();
    for program in ["producer", "consumer", "cache-worker"] {
        let (file, real) = (signals.join(program), real(program));
        let text = format!(
            "#!/usr/bin/env bash\nfile={}.$$\n: > $file\nfor signal in INT HUP; do trap \"echo $signal >> $file\" $signal; \
             done\ntrap 'echo TERM >> $file; kill -TERM $child' TERM\nsetsid {real} \"$@\" & child=$!\n\
             while kill -0 $child 2> /dev/null; do status=0; wait $child || status=$?; done\nexit $status\n",
            file.display()
        );
        script(&folder.join(program), &text);
    }
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_is_one_sigterm_to_each_program_of_a_run_whose_ledger_is_then_complete() {
    let bed = Testbed::new("one_sigterm").await;
    let signals = bed.folder().join("signals");
    let programs = counting_programs(&bed, &signals);
    let mut loadtest = Command::new(programs.join("loadtest"));
    loadtest.args(&arguments(&bed, 200, "5m", 2)[1..]);
    let running = start(loadtest);
    wait_until_stored(&bed, 100).await;
    let output = interrupt(running, Signal::INT).await;
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(log.contains("interrupted"), "{log}");
    let files: Vec<_> = std::fs::read_dir(&signals).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 4, "cache-worker, two consumers and the producer: {files:?}");
    for file in files {
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "TERM\n", "{}: {log}", file.display());
    }
    let mut runs = std::fs::read_dir(bed.runs()).unwrap().map(|entry| entry.unwrap().file_name());
    let run_id = runs.next().unwrap().into_string().unwrap().parse().unwrap();
    let ledger = RunsFolder { runs_dir: bed.runs() }.read(&run_id).unwrap().remove(0);
    let summary = ledger.summary.unwrap_or_else(|| panic!("the run has no summary: {log}"));
    assert_eq!(summary.counts.acknowledged, ledger.journal.acknowledged.len(), "{log}");
    std::fs::remove_dir_all(programs).unwrap();
}

/// The programs that a run left running. They are ended when the test fails, too.
struct LeftRunning(Vec<i32>);

impl Drop for LeftRunning {
    fn drop(&mut self) {
        for pid in self.0.drain(..).filter_map(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
    }
}

/// The numbers after the last `kill`, in ascending order.
fn process_ids(text: &str) -> Vec<i32> {
    let (_, list) = text.rsplit_once("kill ").unwrap_or_else(|| panic!("no process id in: {text}"));
    let numbers = list.split([' ', ')', '\n']).map_while(|word| word.parse().ok());
    let mut pids: Vec<i32> = numbers.collect();
    pids.sort_unstable();
    pids
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_beside_programs_that_an_earlier_one_left_running_says_how_to_end_them() {
    let bed = Testbed::new("left_running").await;
    let run = async |more: &[&str]| {
        let mut loadtest = command("loadtest").unwrap();
        loadtest.args(&arguments(&bed, 200, "1s", 2)[1..]).args(more);
        let output = end(start(loadtest)).await;
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, log) = run(&["--keep"]).await;
    assert!(matches!(code, Some(0 | 3)), "{log}");
    let left = LeftRunning(process_ids(&log));
    assert_eq!(left.0.len(), 3, "{log}");

    let second = tokio::time::timeout(Duration::from_secs(30), run(&[])).await;
    let (code, log) = second.expect("it says so within seconds");
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("has 2 members that this run did not start"), "{log}");
    assert_eq!(process_ids(&log), left.0, "{log}");

    drop(left);
    let (code, log) = run(&[]).await;
    assert!(matches!(code, Some(0 | 3)), "{log}");
}

/// The child process with this name, and its environment.
fn child_of(parent: &Child, name: &str) -> Option<(PathBuf, String)> {
    std::fs::read_dir("/proc").unwrap().find_map(|entry| {
        let process = entry.ok()?.path();
        let stat = std::fs::read_to_string(process.join("stat")).ok()?;
        let (before, after) = stat.rsplit_once(") ")?;
        let parent_id: u32 = after.split(' ').nth(1)?.parse().ok()?;
        let is_child = parent_id == parent.id() && before.ends_with(&format!("({name}"));
        is_child
            .then(|| std::fs::read_to_string(process.join("environ")).map(|environment| (process, environment)))?
            .ok()
    })
}

fn topics(kafka: &KafkaSettings) -> Vec<String> {
    let client: BaseConsumer = kafka.client(&[]).create().unwrap();
    let metadata = client.fetch_metadata(None, Duration::from_secs(10)).unwrap();
    metadata.topics().iter().map(|topic| topic.name().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "half a minute: run by deploy/test --long"]
async fn an_interrupted_bench_of_the_producer_leaves_no_topic_and_no_program() {
    let bed = Testbed::new("interrupted_bench").await;
    testbed::fill_cache(&bed).await;
    for signal in [Signal::INT, Signal::HUP] {
        let mut loadtest = command("loadtest").unwrap();
        // The producer does not end by itself.
        loadtest.args(["bench", "producer", "--orders", "1000000000", "--rounds", "1"]).envs(bed.environment());
        let bench = start(loadtest);
        let mut producer = None;
        eventually("the producer runs", 3 * TIMEOUT, async || {
            producer = child_of(&bench, "producer");
            producer.is_some()
        })
        .await;
        let (process, environment) = producer.unwrap();
        let topic = environment.split('\0').find_map(|variable| variable.strip_prefix("ORDERS_TOPIC=")).unwrap();
        assert!(topics(&bed.kafka).iter().any(|name| name == topic), "{topic}");
        let output = interrupt(bench, signal).await;
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{signal:?}: {log}");
        assert!(log.contains("interrupted"), "{signal:?}: {log}");
        assert!(!process.exists(), "{signal:?}: the producer still runs: {log}");
        let is_deleted = async || !topics(&bed.kafka).iter().any(|name| name == topic);
        eventually("the topic is deleted", TIMEOUT, is_deleted).await;
    }
}
