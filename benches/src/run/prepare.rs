//! What must be there before the programs start: the schema, rows, the topics, and nobody else in the consumer group.

use std::process::Stdio;

use anyhow::ensure;
use shared::{kafka::ensure_topic, services::ServiceSettings};

use crate::{interruptible::run_to_end, pipeline::other_members::require_no_other_members, process::command};

/// Returns the number of partitions of the topic. `environment` leads orderdb to the same `services`.
///
/// # Errors
/// When a service can't be reached, or the group has members that are no program of this run.
pub async fn prepare(
    services: &ServiceSettings,
    group: &str,
    environment: &[(String, String)],
) -> anyhow::Result<usize> {
    orderdb(&["migrate", "up"], environment).await?;
    orderdb(&["seed", "--if-empty"], environment).await?;
    let (kafka, topic) = (&services.kafka, &services.topic);
    let partitions = ensure_topic(kafka, &topic.orders()).await?;
    ensure_topic(kafka, &topic.dead_letters()).await?;
    require_no_other_members(kafka, group).await?;
    Ok(partitions)
}

async fn orderdb(arguments: &[&str], environment: &[(String, String)]) -> anyhow::Result<()> {
    let mut orderdb = command("orderdb")?;
    orderdb.args(arguments).envs(environment.iter().cloned()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = run_to_end("orderdb", orderdb).await?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "orderdb {} failed, {}: {}", arguments.join(" "), output.status, errors.trim());
    Ok(())
}
