//! What a person gets who asks for the impossible: one clear message, the right exit code, soon, and nothing else.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::{
    path::Path,
    process::{Command, Output},
    time::{Duration, Instant},
};

use testbed::Testbed;

/// Longest time until a message.
const PATIENCE: Duration = Duration::from_secs(15);

fn producer(environment: &[(String, String)], arguments: &[&str]) -> Output {
    let started = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_producer"));
    let output = command.args(arguments).envs(environment.iter().cloned()).output().unwrap();
    assert!(started.elapsed() < PATIENCE, "{arguments:?} took {:?}", started.elapsed());
    output
}

fn assert_refused(output: &Output, code: i32, says: &[&str]) {
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{message}");
    for words in says {
        assert!(message.contains(words), "{words:?} is not in: {message}");
    }
    assert!(!message.contains("panicked") && !message.contains("backtrace"), "{message}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_wrong_rate_is_wrong_usage() {
    for rate in ["0", "-1", "abc", "inf", ""] {
        let output = producer(&[], &["--count", "1", &format!("--rate={rate}")]);
        assert_refused(&output, 2, &["--rate", "a rate is a number of orders a second"]);
    }
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
async fn an_unreachable_redis_is_named_without_its_password() {
    let bed = Testbed::new("no_redis").await;
    let mut environment = bed.environment();
    environment.push(("REDIS_URL".to_owned(), "redis://me:hunter2@127.0.0.1:9".to_owned()));
    let output = producer(&environment, &["--rate", "10", "--count", "1"]);
    assert_refused(&output, 1, &["Redis at 127.0.0.1:9 can't be reached"]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("hunter2"));
}

#[tokio::test]
async fn an_empty_cache_says_what_to_run() {
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
    assert_refused(&output, 1, &["the run ledger can't be kept", "free some space", "No space left"]);
    assert!(!Path::new(&folder).join("run-1/summary.json").exists());
}
