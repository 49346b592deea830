//! Wrong settings and missing services: one clear message, the right exit code, soon, and no other output.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::{
    path::Path,
    process::{Command, Output},
    time::{Duration, Instant},
};

use shared::ledger::{RunSummary, read_journal};
use testbed::Testbed;

/// Maximum time until the message.
const TIMEOUT: Duration = Duration::from_secs(15);

fn producer(environment: &[(String, String)], arguments: &[&str]) -> Output {
    let started = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_producer"));
    let output = command.args(arguments).envs(environment.iter().cloned()).output().unwrap();
    assert!(started.elapsed() < TIMEOUT, "{arguments:?} took {:?}", started.elapsed());
    output
}

fn assert_refused(output: &Output, code: i32, expected: &[&str]) {
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{message}");
    for text in expected {
        assert!(message.contains(text), "{text:?} is not in: {message}");
    }
    assert!(!message.contains("panicked") && !message.contains("backtrace"), "{message}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_wrong_rate_is_wrong_usage() {
    for rate in ["0", "-1", "abc", "inf", "1e9", "1K", "11M", ""] {
        let output = producer(&[], &["--count", "1", &format!("--rate={rate}")]);
        assert_refused(&output, 2, &["--rate", "a rate is a number of orders per second"]);
    }
}

#[test]
fn a_wrong_requirement_is_wrong_usage_and_the_message_says_what_is_wrong() {
    for (requirement, expected) in [
        ("ack p99 50ms", "METRIC [PERCENTILE] COMPARISON VALUE"),
        ("latency p99 < 50ms", "the metrics are sent, ack, round_trip, stall"),
        ("ack p99 < 50", "a duration with its unit"),
        ("stored p99 < 50ms", "measured by `loadtest pipeline`"),
    ] {
        assert_refused(&producer(&[], &["--rate", "1", "--require", requirement]), 2, &["--require", expected]);
    }
}

#[test]
fn flags_that_contradict_each_other_are_wrong_usage() {
    for (arguments, expected) in [
        (&["--rate", "1", "--count", "1", "--duration", "1s"][..], "cannot be used with"),
        (&["--rate", "1", "--steps", "1:1s"], "cannot be used with"),
        (&["--rate", "1", "--catalog", "f", "--snapshot"], "cannot be used with"),
        (&["--rate", "1", "--shard", "1/2", "--run-id", "r"], "--start-at"),
    ] {
        assert_refused(&producer(&[], arguments), 2, &[expected]);
    }
    for (arguments, expected) in [
        (&["--rate", "max", "--arrival", "poisson"][..], "--rate max has no schedule"),
        (&["--rate", "100000", "--ramp-up", "17h"], "--ramp-up is too long"),
        (&["--rate", "1", "--kafka-config", "acks=1"], "acks=1 is not allowed"),
        (&["--rate", "1", "--source", "catalog"], "--source catalog needs --catalog FILE"),
        (
            &["--rate", "1", "--builtin-users", "5"],
            "--builtin-users requires --source builtin, but the source is redis",
        ),
        (&["--rate", "1", "--source", "builtin", "--snapshot"], "--snapshot requires --source redis"),
        (&["--rate", "max", "--require", "rate_error < 1%"], "--rate max has no schedule: --require 'rate_error < 1%'"),
    ] {
        assert_refused(&producer(&[], arguments), 2, &[expected]);
    }
}

#[test]
fn a_wrong_lifecycle_is_wrong_usage_and_the_message_has_the_line_and_what_would_be_right() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lifecycle.toml");
    for (content, expected) in [
        (
            &b"[paid]\nshipped = { weight = 1, delay = '5s' }\n"[..],
            &["error: an order that is `paid` can't become `shipped`", "lifecycle.toml:2:1", "come: `processing`"][..],
        ),
        (b"[paid]\nend = { weight = -1 }", &["`weight` can't be -1", "lifecycle.toml:2:18"]),
        (b"shares = 1", &["unknown status `shares`", "lifecycle.toml:1:1", "`share` and the statuses"]),
        (b"\xff", &["lifecycle.toml can't be read", "UTF-8", "`producer lifecycle`"]),
        (&[b' '; 70_000], &["lifecycle.toml can't be read", "larger than 64 KiB"]),
        // The limit is within a character.
        ("가".repeat(30_000).as_bytes(), &["lifecycle.toml can't be read", "larger than 64 KiB"]),
        (b"", &["no status has a table", "`producer lifecycle`"]),
    ] {
        std::fs::write(&file, content).unwrap();
        let output = producer(&[], &["--rate", "1", "--lifecycle", file.to_str().unwrap()]);
        assert_refused(&output, 2, expected);
        assert!(!String::from_utf8_lossy(&output.stderr).contains("error: error"));
    }
    for (path, cause) in [
        ("/nowhere", "No such file"),
        ("/dev/zero", "larger than 64 KiB"),
        (folder.path().to_str().unwrap(), "directory"),
    ] {
        let output = producer(&[], &["--rate", "1", "--lifecycle", path]);
        assert_refused(&output, 2, &["--lifecycle: the file", path, cause]);
    }
}

#[test]
fn the_printed_lifecycle_can_be_read_again() {
    let printed = producer(&[], &["lifecycle"]);
    assert!(printed.status.success() && printed.stderr.is_empty(), "{printed:?}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lifecycle.toml");
    std::fs::write(&file, printed.stdout).unwrap();
    // The next check after that of the file fails: nothing is sent.
    let arguments = ["--rate", "1", "--count", "1", "--lifecycle", file.to_str().unwrap(), "--brokers", "127.0.0.1:9"];
    assert_refused(&producer(&[], &arguments), 1, &["no Kafka broker answers at 127.0.0.1:9"]);
}

#[test]
fn a_secret_on_the_command_line_is_refused_and_not_printed() {
    for (flag, value, expected) in [
        ("--kafka-config", "sasl.password=hunter2", "KAFKA_SASL_PASSWORD"),
        ("--kafka-config", "sasl.password:hunter2", "expected KEY=VALUE"),
        ("--redis-url", "redis://me:hunter2@127.0.0.1:9", "REDIS_URL"),
    ] {
        for arguments in [&["--rate", "1", flag, value][..], &["--rate", "1", &format!("{flag}={value}")]] {
            let output = producer(&[], arguments);
            assert_refused(&output, 2, &[flag, expected]);
            assert!(!String::from_utf8_lossy(&output.stderr).contains("hunter2"));
        }
    }
}

#[tokio::test]
async fn a_catalog_with_an_invalid_line_is_refused_with_its_number() {
    let bed = Testbed::new("broken_catalog").await;
    let catalog = bed.folder().join("catalog.jsonl");
    std::fs::write(&catalog, "{\"user_id\":\"U1\"}\n{\"product_id\":\"P1\"}\n").unwrap();
    let arguments = ["--rate", "10", "--count", "1", "--catalog", catalog.to_str().unwrap()];
    assert_refused(&producer(&bed.environment(), &arguments), 1, &["catalog.jsonl has an error in line 2", "price"]);
    let arguments = ["--rate", "10", "--count", "1", "--catalog", "/nowhere"];
    assert_refused(&producer(&bed.environment(), &arguments), 1, &["the catalog /nowhere can't be opened"]);
}

#[tokio::test]
async fn a_start_in_the_past_is_refused_without_backdate() {
    let bed = Testbed::new("past_start").await;
    testbed::fill_cache(&bed).await;
    let arguments = ["--rate", "10", "--count", "1", "--start-at", "2020-01-31T09:00:00Z"];
    assert_refused(&producer(&bed.environment(), &arguments), 1, &["--start-at 2020-01-31", "--backdate"]);
}

/// The files of the run can't grow beyond some kilobytes, as on a full disk.
#[tokio::test]
async fn ledger_entries_that_cannot_be_written_are_printed_and_the_run_continues() {
    let bed = Testbed::new("failing_ledger").await;
    testbed::fill_cache(&bed).await;
    let limited = "trap '' XFSZ; ulimit -f 4; exec \"$0\" \"$@\"";
    // A busy machine sends all orders, late ones too.
    let arguments = ["--rate", "4000", "--count", "20000", "--catch-up", "1m", "--run-id", "r", "--output", "json"];
    let mut command = Command::new("bash");
    command.args(["-c", limited, env!("CARGO_BIN_EXE_producer")]).args(arguments).envs(bed.environment());
    let output = command.output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    for text in ["the run continues", "acknowledged.journal", "an audit will be incomplete"] {
        assert!(message.contains(text), "{text:?} is not in: {message}");
    }
    let summary: RunSummary = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((summary.counts.scheduled, summary.counts.acknowledged), (20_000, 20_000));
    let (_, printed) = message.split_once("lacks these entries: acknowledged ").unwrap();
    let (printed, _) = printed.split_once([';', ':']).unwrap();
    let ends = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        first.parse::<u64>().unwrap()..=last.parse::<u64>().unwrap()
    };
    let mut known = read_journal(&bed.runs().join("r/acknowledged.journal")).unwrap().acknowledged;
    let saved = known.len();
    known.extend(printed.split(',').flat_map(ends));
    assert!(saved < 20_000, "the journal did not fail");
    assert_eq!(known, (0..20_000).collect());
}

#[tokio::test]
async fn an_unreachable_broker_is_named() {
    let bed = Testbed::new("no_broker").await;
    let mut environment = bed.environment();
    environment.push(("KAFKA_BROKERS".to_owned(), "127.0.0.1:9".to_owned()));
    let output = producer(&environment, &["--rate", "10", "--count", "1"]);
    assert_refused(&output, 1, &["no Kafka broker answers at 127.0.0.1:9", "deploy/stack up"]);
}

#[tokio::test]
async fn a_replication_factor_above_the_number_of_brokers_is_refused_with_the_one_to_use() {
    let bed = Testbed::new("few_brokers").await;
    let arguments = ["--rate", "10", "--count", "1", "--source", "builtin", "--replication", "100"];
    let expected = ["can't be created with replication factor 100: the cluster has", "broker", "use --replication"];
    assert_refused(&producer(&bed.environment(), &arguments), 1, &expected);
}

#[tokio::test]
async fn an_unreachable_redis_is_named_without_its_password() {
    let bed = Testbed::new("no_redis").await;
    let mut environment = bed.environment();
    environment.push(("REDIS_URL".to_owned(), "redis://me:hunter2@127.0.0.1:9".to_owned()));
    let output = producer(&environment, &["--rate", "10", "--count", "1"]);
    assert_refused(&output, 1, &["Redis at 127.0.0.1:9 can't be reached"]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("hunter2"));
}

#[tokio::test]
async fn an_empty_cache_is_reported_with_the_command_to_run() {
    let bed = Testbed::new("empty_cache").await;
    let output = producer(&bed.environment(), &["--rate", "10", "--count", "1"]);
    assert_refused(&output, 1, &["the cache is empty", "cache-worker"]);
}

#[tokio::test]
async fn a_full_disk_under_the_ledger_ends_the_run_before_its_first_order() {
    let bed = Testbed::new("full_disk").await;
    testbed::fill_cache(&bed).await;
    let mut environment = bed.environment();
    let folder = bed.folder().join("full");
    std::fs::create_dir_all(folder.join("run-1")).unwrap();
    // Every write to this file fails as on a full disk.
    std::os::unix::fs::symlink("/dev/full", folder.join("run-1/run.tmp")).unwrap();
    environment.push(("RUNS_DIR".to_owned(), folder.display().to_string()));
    let output = producer(&environment, &["--rate", "10", "--count", "1", "--run-id", "run-1"]);
    assert_refused(&output, 1, &["the run ledger can't be created in", "free some disk space", "No space left"]);
    assert!(!Path::new(&folder).join("run-1/summary.json").exists());
}
