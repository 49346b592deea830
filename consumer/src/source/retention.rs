//! Exports how long the topic keeps its records. An alert compares the age of those that are not stored with it.

use std::time::Duration;

use shared::kafka::{KafkaSettings, retention};
use tokio_util::sync::CancellationToken;

use crate::metrics;

/// Time between two requests. Whoever raises the retention in an outage waits as long for the end of the alert.
const INTERVAL: Duration = Duration::from_secs(300);

/// Exports the retention of a topic.
pub struct RetentionExporter {
    pub kafka: KafkaSettings,
    pub topic: String,
}

impl RetentionExporter {
    /// Asks the brokers every few minutes until `stop`, and exports the answer unless records are kept without end. The
    /// first of several failures is logged.
    ///
    /// # Errors
    /// Never.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let (topic, mut fails, mut exported) = (&self.topic, false, false);
        while let Some(answer) = stop.run_until_cancelled(retention(&self.kafka, topic)).await {
            match &answer {
                Ok(Some(retention)) => {
                    ::metrics::gauge!(metrics::RETENTION_SECONDS).set(retention.as_secs_f64());
                    exported = true;
                }
                Ok(None) if exported => ::metrics::gauge!(metrics::RETENTION_SECONDS).set(f64::NAN),
                Ok(None) => {}
                Err(error) if !fails => tracing::warn!(
                    "metrics: the retention of topic {topic} is not exported, and no alert tells that its records are \
                     deleted soon: {error:#}. The user needs the right to DescribeConfigs of the topic"
                ),
                Err(_) => {}
            }
            fails = answer.is_err();
            if stop.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_none() {
                break;
            }
        }
        Ok(())
    }
}
