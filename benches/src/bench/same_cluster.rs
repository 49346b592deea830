//! The CPU time of brokers is that of the stack which `--stack` names. It must not be that of another cluster.

use anyhow::{Context, ensure};
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
};
use shared::kafka::KafkaSettings;

use super::timeouts::REQUEST_TIMEOUT;
use crate::{
    measure::{servers, stack_folder},
    settings::BenchStackSettings,
};

/// # Errors
/// When the stack runs on this machine, and the brokers in `kafka` do not answer or belong to another cluster.
pub async fn require_same_cluster(kafka: &KafkaSettings, stack: &BenchStackSettings) -> anyhow::Result<()> {
    let folder = stack_folder(&stack.stack_script, &stack.stack);
    if servers(&folder).iter().all(|server| server.pid.is_none()) {
        return Ok(());
    }
    let settings = std::fs::read_to_string(folder.join("settings")).unwrap_or_default();
    let client = kafka.client(&[]);
    let (name, brokers) = (&stack.stack, &kafka.brokers);
    let used = tokio::task::spawn_blocking(move || cluster_id(&client)).await?;
    let used = used.with_context(|| format!("no Kafka broker answers at {brokers}"))?;
    ensure!(
        Some(used.as_str()) == setting(&settings, "cluster_id"),
        "the CPU time of brokers would be wrong: stack {name} is not the cluster at {brokers}: set --brokers or --stack \
         so that both are the same, or stop the stack to measure without CPU time of brokers"
    );
    Ok(())
}

fn cluster_id(client: &ClientConfig) -> anyhow::Result<String> {
    let consumer: BaseConsumer = client.create()?;
    consumer.client().fetch_cluster_id(REQUEST_TIMEOUT).context("the id of the cluster can't be read")
}

/// The value of `key` in lines `KEY=VALUE`.
fn setting<'a>(settings: &'a str, key: &str) -> Option<&'a str> {
    settings.lines().filter_map(|line| line.split_once('=')).find(|(name, _)| *name == key).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_found_by_its_whole_name() {
        let settings = "base_port=23020\nold_cluster_id=a\ncluster_id=b=c\n";
        assert_eq!((setting(settings, "cluster_id"), setting(settings, "cluster")), (Some("b=c"), None));
    }
}
