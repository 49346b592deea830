//! `kafka-producer-perf-test`, Kafka's own load generator, from the same jars as the brokers.

use std::{
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::Command,
};

use shared::wire::{EVENT_TYPE_HEADER, ORDER_PLACED_V1};

use crate::{bench::encoded_order::EncodedOrder, settings::ProducerBenchSettings};

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

/// The command that sends all orders. It has no `--warmup-records`: they change what it prints, which is not used, and
/// cost it CPU time.
pub fn command(settings: &ProducerBenchSettings, topic: &str, payloads: &Path) -> Command {
    let mut tool = Command::new(&settings.stack_script);
    tool.args(["--name", &settings.stack, "kafka-tool", "kafka-producer-perf-test", "--topic", topic]);
    tool.args(["--bootstrap-server", &settings.services.kafka.brokers]);
    tool.args(["--num-records", &settings.orders.to_string(), "--throughput", "-1", "--payload-file"]).arg(payloads);
    tool.arg("--producer-props").args(["acks=all", "enable.idempotence=true", "compression.type=lz4"]);
    tool.args(&settings.perf_test_props);
    tool
}
