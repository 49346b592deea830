//! Members of the consumer group that this run did not start: those that an earlier run left running (`--keep`), or that
//! were started by hand. They would store orders of this run, which would then be missing from its figures.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};

use shared::kafka::KafkaSettings;

use super::progress::POLL_INTERVAL;

/// How long the run waits until they have left: longer than the session of a member that was killed, on the local stack.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(8);
/// Timeout of the request for the members.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Waits until `group` has no member, and this machine no consumer of it.
///
/// # Errors
/// When there still is one after 8 s; the error says how to end it.
pub async fn require_no_other_members(kafka: &KafkaSettings, group: &str) -> anyhow::Result<()> {
    let started = Instant::now();
    loop {
        let (members, processes) = (count_members(kafka, group).await?, processes(kafka, group));
        if members == 0 && processes.is_empty() {
            return Ok(());
        }
        let end = match processes.as_slice() {
            [] => "stop them".to_owned(),
            processes => format!("stop them (kill {})", processes.join(" ")),
        };
        ensure!(
            started.elapsed() < LEAVE_TIMEOUT,
            "consumer group {group} has {members} members that this run did not start, such as those that a run with \
             --keep left running. They would store some of its orders: {end} and run this again, or use another --group"
        );
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

async fn count_members(kafka: &KafkaSettings, group: &str) -> anyhow::Result<usize> {
    let (kafka, group) = (kafka.clone(), group.to_owned());
    tokio::task::spawn_blocking(move || {
        let client: BaseConsumer = kafka.client(&[]).create()?;
        let groups = client.fetch_group_list(Some(&group), REQUEST_TIMEOUT);
        let groups = groups.with_context(|| format!("the members of consumer group {group} can't be read"))?;
        Ok(groups.groups().iter().map(|group| group.members().len()).sum())
    })
    .await?
}

/// The ids of the consumers of this group, and of the cache-workers beside them, among the processes of this user.
fn processes(kafka: &KafkaSettings, group: &str) -> Vec<String> {
    let is_other = |pid: &String| {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let environment = read("environ");
        let environment: BTreeMap<&str, &str> =
            environment.split('\0').filter_map(|variable| variable.split_once('=')).collect();
        matches!(read("comm").trim_end(), "consumer" | "cache-worker")
            && environment.get("KAFKA_BROKERS") == Some(&kafka.brokers.as_str())
            && environment.get("CONSUMER_GROUP") == Some(&group)
    };
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().into_string().ok());
    pids.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())).filter(is_other).collect()
}
