//! Clusters that authenticate clients: SASL over TLS, and client certificates, on listeners that every stack has.

use std::{collections::BTreeMap, process::Output};

use benches::process::command;
use shared::ledger::RunSummary;
use testbed::{Testbed, stack_environment};

use super::scenario::{arguments, stored};

type Environment = BTreeMap<String, String>;

/// Runs the producer on the test's resources, with the variables `kafka` over those of the testbed.
fn producer(bed: &Testbed, kafka: &Environment, arguments: &[&str]) -> Output {
    let mut producer = command("producer").unwrap();
    producer.args(["--rate", "200", "--count", "200", "--catch-up", "1m", "--output", "json"]).args(arguments);
    producer.envs(bed.environment()).envs(kafka).output().unwrap()
}

fn assert_sent(output: &Output) {
    let log = String::from_utf8_lossy(&output.stderr);
    let summary: RunSummary = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{log}"));
    assert_eq!(summary.counts.acknowledged, 200);
}

fn assert_refused(output: &Output, expected: &[&str]) {
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{log}");
    for words in expected {
        assert!(log.contains(words), "{words:?} is not in: {log}");
    }
}

#[tokio::test]
async fn the_pipeline_works_over_sasl_and_tls() {
    let bed = Testbed::new("sasl_ssl").await;
    let mut loadtest = command("loadtest").unwrap();
    loadtest.args(&arguments(&bed, 200, "3s", 1)[1..]).args(["--output", "json"]);
    let output = loadtest.envs(stack_environment("--secure")).output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{log}"));
    assert_eq!((&summary["stored"], &summary["missing"]), (&600.into(), &0.into()), "{summary}");
    assert_eq!(stored(&bed).await, 600);
}

#[tokio::test]
async fn every_mechanism_works_and_a_wrong_password_is_reported_but_not_shown() {
    let bed = Testbed::new("mechanisms").await;
    testbed::fill_cache(&bed).await;
    let mut secure = stack_environment("--secure");
    let password = secure["KAFKA_SASL_PASSWORD"].clone();
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        secure.insert("KAFKA_SASL_MECHANISM".to_owned(), mechanism.to_owned());
        assert_sent(&producer(&bed, &secure, &[]));
    }
    secure.insert("KAFKA_SASL_PASSWORD".to_owned(), "hunter2".to_owned());
    let refused = producer(&bed, &secure, &[]);
    assert_refused(
        &refused,
        &["the Kafka cluster refuses the connection", "sasl_ssl as orderflow", "uthentication failed"],
    );
    assert!(!String::from_utf8_lossy(&refused.stderr).contains("hunter2"));

    let file = bed.folder().join("password");
    std::fs::write(&file, format!("{password}\n")).unwrap();
    assert_sent(&producer(&bed, &secure, &["--sasl-password-file", file.to_str().unwrap(), "--run-id", "by-file"]));
    for entry in std::fs::read_dir(bed.runs().join("by-file")).unwrap() {
        let content = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!String::from_utf8_lossy(&content).contains(&password), "the password is in the ledger");
    }
}

#[tokio::test]
async fn a_client_certificate_authenticates_to_a_cluster_that_requires_one() {
    let bed = Testbed::new("certificates").await;
    testbed::fill_cache(&bed).await;
    let mut tls = stack_environment("--tls");
    assert_sent(&producer(&bed, &tls, &[]));

    let key = tls["KAFKA_TLS_KEY"].clone();
    let encrypted = key.replace("client.key", "client-encrypted.key");
    tls.insert("KAFKA_TLS_KEY".to_owned(), encrypted);
    tls.insert("KAFKA_TLS_KEY_PASSWORD".to_owned(), stack_environment("--secure")["KAFKA_SASL_PASSWORD"].clone());
    assert_sent(&producer(&bed, &tls, &[]));

    let without = ["KAFKA_TLS_KEY", "KAFKA_TLS_KEY_PASSWORD", "KAFKA_TLS_CERTIFICATE"];
    without.iter().for_each(|name| drop(tls.remove(*name)));
    assert_refused(&producer(&bed, &tls, &[]), &["the Kafka cluster refuses the connection", "ssl", "certificate"]);
    tls.remove("KAFKA_TLS_CA");
    assert_refused(
        &producer(&bed, &tls, &[]),
        &["the Kafka cluster refuses the connection", "certificate verify failed"],
    );
}
