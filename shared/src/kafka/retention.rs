use std::time::Duration;

use anyhow::{Context, anyhow};
use rdkafka::{
    admin::{AdminClient, AdminOptions, ResourceSpecifier},
    client::DefaultClientContext,
};

use super::settings::{FIRST_ANSWER_TIMEOUT, KafkaSettings};

/// How long the topic keeps a record; `None` when it keeps it without end, as far as `retention.ms` says.
///
/// # Errors
/// When the brokers do not answer within 10 s, or the user may not describe the settings of the topic.
pub async fn retention(kafka: &KafkaSettings, topic: &str) -> anyhow::Result<Option<Duration>> {
    let admin: AdminClient<DefaultClientContext> =
        kafka.client(&[]).create().context("the Kafka settings are not usable")?;
    let options = AdminOptions::new().request_timeout(Some(FIRST_ANSWER_TIMEOUT));
    let described = admin.describe_configs([&ResourceSpecifier::Topic(topic)], &options).await;
    let resources = described.with_context(|| format!("the settings of topic {topic} can't be read"))?;
    let resource = resources.into_iter().next().context("the answer of the cluster is empty")?;
    let resource = resource.map_err(|code| anyhow!("the settings of topic {topic} can't be read: {code}"))?;
    let millis: Option<i64> = resource.get("retention.ms").and_then(|entry| entry.value.as_ref()?.parse().ok());
    let millis = millis.with_context(|| format!("topic {topic} has no retention.ms"))?;
    Ok(u64::try_from(millis).ok().map(Duration::from_millis))
}
