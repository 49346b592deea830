//! `kafka-producer-perf-test`, Kafka's own load generator, from the same jars as the brokers.

use std::{
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, ensure};
use shared::wire::{EVENT_TYPE_HEADER, ORDER_PLACED_V1};

use super::{encoded_order::EncodedOrder, timeouts::SEND_TIMEOUT};
use crate::{interruptible::run_to_end, settings::ProducerBenchSettings};

/// Writes the payload file, one line per record. perf-test sends neither keys nor headers, so the payload contains
/// their bytes.
///
/// # Errors
/// When the file can't be written.
pub fn write_payloads(folder: &Path, records: &[EncodedOrder]) -> anyhow::Result<PathBuf> {
    let path = folder.join("payloads");
    let mut file = BufWriter::new(std::fs::File::create(&path)?);
    for record in records {
        write!(file, "{}{EVENT_TYPE_HEADER}{ORDER_PLACED_V1}", record.key)?;
        file.write_all(&record.value)?;
        file.write_all(b"\n")?;
    }
    file.flush()?;
    Ok(path)
}

/// Sends the orders of one round and returns records per second, as perf-test reports them.
///
/// # Errors
/// When perf-test fails, takes longer than five minutes, or prints no summary.
pub async fn run(settings: &ProducerBenchSettings, topic: &str, payloads: &Path) -> anyhow::Result<f64> {
    let mut tool = Command::new(&settings.stack_script);
    tool.args(["--name", &settings.stack, "kafka-tool", "kafka-producer-perf-test", "--topic", topic]);
    tool.args(["--num-records", &settings.orders.to_string(), "--throughput", "-1", "--payload-file"]).arg(payloads);
    tool.arg("--producer-props").args(["acks=all", "enable.idempotence=true", "compression.type=lz4"]);
    tool.args(&settings.perf_test_props);
    tool.stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = tokio::time::timeout(SEND_TIMEOUT, run_to_end("kafka-producer-perf-test", tool)).await;
    let output = output.with_context(|| format!("kafka-producer-perf-test takes longer than {SEND_TIMEOUT:?}"))??;
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "kafka-producer-perf-test failed, {}: {text}{errors}", output.status);
    let line =
        text.lines().rfind(|line| line.contains("99.9th")).context("kafka-producer-perf-test printed no summary")?;
    records_per_second(line).with_context(|| format!("kafka-producer-perf-test: no records/sec in {line:?}"))
}

/// `1000000 records sent, 187406.296852 records/sec (45.93 MB/sec), …`
fn records_per_second(line: &str) -> Option<f64> {
    line.split_once(" records/sec")?.0.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_throughput_is_parsed() {
        let line = "1000000 records sent, 187406.296852 records/sec (45.93 MB/sec), 91.93 ms avg latency, \
                    381.00 ms max latency, 364 ms 99.9th.";
        assert_eq!(records_per_second(line), Some(187_406.296852));
        assert_eq!(records_per_second("nothing"), None);
    }
}
