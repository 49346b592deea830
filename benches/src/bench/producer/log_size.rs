//! How many bytes a record has in the log of the brokers, which is as it was sent: compressed, with the batch's share.

use std::process::Stdio;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::{interruptible::run_to_end, settings::ProducerBenchSettings};

/// Bytes in the log of one replica, per record, as `kafka-log-dirs` reports them.
///
/// # Errors
/// When the tool fails.
pub async fn bytes_per_record(settings: &ProducerBenchSettings, topic: &str, replicas: i32) -> anyhow::Result<f64> {
    let mut tool = settings.stack.kafka_tool("kafka-log-dirs");
    tool.args(["--describe", "--topic-list", topic]);
    tool.stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = run_to_end("kafka-log-dirs", tool).await?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "kafka-log-dirs failed, {}: {errors}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    let bytes = all_bytes(&text).with_context(|| format!("kafka-log-dirs printed no sizes: {text}"))?;
    Ok(bytes as f64 / f64::from(replicas) / settings.orders as f64)
}

/// The sizes of all replicas of all partitions. A line of JSON is among others.
fn all_bytes(text: &str) -> Option<u64> {
    let json: Value = text.lines().find_map(|line| serde_json::from_str(line).ok())?;
    let folders = json["brokers"].as_array()?.iter().filter_map(|broker| broker["logDirs"].as_array()).flatten();
    let partitions = folders.filter_map(|folder| folder["partitions"].as_array()).flatten();
    partitions.map(|partition| partition["size"].as_u64()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sizes_of_all_replicas_are_added() {
        let broker = |sizes: &str| format!(r#"{{"broker":1,"logDirs":[{{"error":null,"partitions":[{sizes}]}}]}}"#);
        let sizes = [broker(r#"{"partition":"t-0","size":5},{"partition":"t-1","size":7}"#), broker("")].join(",");
        let text = format!("Querying brokers\n{{\"version\":1,\"brokers\":[{sizes}]}}\n");
        assert_eq!(all_bytes(&text), Some(12));
        assert_eq!(all_bytes("nothing"), None);
    }
}
