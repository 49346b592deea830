//! What `orderdb check` finds.

use std::process::{Command, Stdio};

use serde_json::Value;
use testbed::{Testbed, fill_cache};

/// The exit code, and the state and the detail of each finding.
struct Checked {
    code: Option<i32>,
    findings: Value,
}

impl Checked {
    fn finding(&self, service: &str, what: &str) -> (&str, &str) {
        let is_it = |finding: &&Value| finding["service"] == service && finding["what"] == what;
        let found = self.findings.as_array().unwrap().iter().find(is_it);
        let found = found.unwrap_or_else(|| panic!("{service} {what} is not in {:#}", self.findings));
        (found["state"].as_str().unwrap(), found["detail"].as_str().unwrap())
    }
}

async fn check(bed: &Testbed, changes: &[(&str, &str)]) -> Checked {
    let mut orderdb = Command::new(env!("CARGO_BIN_EXE_orderdb"));
    orderdb.args(["check", "--output", "json"]).envs(bed.environment()).envs(changes.iter().copied());
    orderdb.stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || orderdb.output()).await.unwrap().unwrap();
    let findings = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    Checked { code: output.status.code(), findings }
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_are_ready_are_ok_and_an_empty_cache_is_not() {
    let bed = Testbed::new("check_ready").await;
    let checked = check(&bed, &[]).await;
    assert_eq!((checked.code, checked.finding("Redis", "cache").0), (Some(3), "failed"));
    assert!(checked.finding("Redis", "cache").1.contains("cache-worker"));
    fill_cache(&bed).await;
    let checked = check(&bed, &[]).await;
    assert_eq!(checked.code, Some(0), "{:#}", checked.findings);
    assert!(checked.finding("PostgreSQL", "connection").1.contains("not encrypted"));
    assert!(checked.finding("Redis", "cache").1.contains("unknown age"));
    let works = [("PostgreSQL", "schema"), ("PostgreSQL", "rows"), ("Redis", "connection"), ("Kafka", "connection")];
    assert!(works.iter().all(|(service, what)| checked.finding(service, what).0 == "ok"), "{:#}", checked.findings);
    let (state, detail) = checked.finding("Kafka", "topic");
    assert!(state == "warning" && detail.contains("does not exist"), "{detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_tables_is_told_with_the_command_that_creates_them() {
    let bed = Testbed::new("check_schema").await;
    let checked = check(&bed, &[("POSTGRES_DB", "postgres")]).await;
    let (state, detail) = checked.finding("PostgreSQL", "schema");
    assert!(state == "failed" && detail.contains("orderdb migrate up"), "{detail}");
    assert_eq!(checked.code, Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_service_that_does_not_answer_is_told_in_one_run() {
    let bed = Testbed::new("check_down").await;
    let nowhere = [
        ("DATABASE_URL", "postgres://me:hunter2@127.0.0.1:1/db"),
        ("REDIS_URL", "redis://:hunter2@127.0.0.1:1"),
        ("KAFKA_BROKERS", "127.0.0.1:1"),
    ];
    let checked = check(&bed, &nowhere).await;
    for service in ["PostgreSQL", "Redis", "Kafka"] {
        let (state, detail) = checked.finding(service, "connection");
        assert!(state == "failed" && detail.contains("127.0.0.1:1"), "{detail}");
    }
    assert!(checked.code == Some(3) && !checked.findings.to_string().contains("hunter2"));
    let checked = check(&bed, &[("DATABASE_URL", "mysql://127.0.0.1/db")]).await;
    assert!(checked.finding("PostgreSQL", "settings").1.contains("begins with mysql://"));
}
