//! `kafka-producer-perf-test`, Kafka's own load generator, from the same jars as the brokers.

use std::{
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::Command,
};

use shared::wire::{EVENT_TYPE_HEADER, ORDER_PLACED_V1};

use crate::{bench::encoded_order::EncodedOrder, settings::BenchStackSettings};

/// What all producers of a bench have in common.
const PROPERTIES: [&str; 3] = ["acks=all", "enable.idempotence=true", "compression.type=lz4"];

/// Writes the payload file, one line per record. perf-test sends neither keys nor headers, so the payload contains
/// their bytes. All ids have the time of the first one: perf-test selects payloads at random, and times out of order
/// compress worse than those of the other programs (60 bytes a record in the log instead of 51).
///
/// # Errors
/// When the file can't be written.
pub fn write_payloads(folder: &Path, records: &[EncodedOrder]) -> anyhow::Result<PathBuf> {
    let path = folder.join("payloads");
    let mut file = BufWriter::new(std::fs::File::create(&path)?);
    let first = records.first().map_or("", |record| &record.key);
    for record in records {
        // The rest is the sequence, in hexadecimal.
        let (time, sequence) = (&first[..first.len() - 12], &record.key[first.len() - 12..]);
        write!(file, "{time}{sequence}{EVENT_TYPE_HEADER}{ORDER_PLACED_V1}")?;
        file.write_all(&record.value)?;
        file.write_all(b"\n")?;
    }
    file.flush()?;
    Ok(path)
}

/// A run of perf-test.
pub struct PerfTest<'settings> {
    pub stack: &'settings BenchStackSettings,
    pub brokers: &'settings str,
    pub topic: &'settings str,
    pub payloads: &'settings Path,
    pub records: u64,
    /// Records per second; unlimited when none.
    pub throughput: Option<u32>,
    /// Further client settings, each `KEY=VALUE`.
    pub properties: &'settings [String],
}

impl PerfTest<'_> {
    /// The command that sends all records and ends.
    pub fn command(&self) -> Command {
        let mut tool = self.stack.kafka_tool("kafka-producer-perf-test");
        tool.args(["--topic", self.topic, "--bootstrap-server", self.brokers, "--payload-file"]).arg(self.payloads);
        let throughput = self.throughput.map_or_else(|| "-1".to_owned(), |rate| rate.to_string());
        tool.args(["--num-records", &self.records.to_string(), "--throughput", &throughput]);
        tool.arg("--command-property").args(PROPERTIES).args(self.properties);
        tool
    }
}
