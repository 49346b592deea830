//! Latency as HdrHistograms: recorded in microseconds, logged each second, merged by whoever reports.
//!
//! Percentiles come from merged histograms only, never from averaged percentiles.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use base64::{Engine, prelude::BASE64_STANDARD as BASE64};
use hdrhistogram::{
    Histogram,
    serialization::{
        Deserializer, V2Serializer,
        interval_log::{IntervalLogIterator, IntervalLogWriterBuilder, LogEntry, Tag},
    },
};
use serde::{Deserialize, Serialize};

use crate::order_id::RunTag;

/// The stage of the consumers' latency logs that ends with the commit; its series are those of [`due_to_commit`].
pub const DUE_TO_COMMIT: &str = "due_to_commit";

/// What stands behind the name of a series that counts latencies below 0.
const SKEW_SUFFIX: &str = ".skewed";

/// The series of one run's orders, from due to commit.
pub fn due_to_commit(tag: RunTag) -> String {
    run_series(DUE_TO_COMMIT, tag)
}

/// The series of one run's orders in this series of all orders.
pub fn run_series(series: &str, tag: RunTag) -> String {
    format!("{series}.{tag}")
}

/// The stages of an order's way from due to commit; together they are the whole of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// From due until the consumer had read it: producer, brokers, and what the consumer fetched ahead.
    Broker,
    /// In the consumer's queue, until its writer took it.
    Queue,
    /// While its batch was decoded.
    Decode,
    /// While users and products of its batch were looked up.
    Enrich,
    /// Until its batch was in the table: the batch before it, outages and repeats included.
    Insert,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Self; 5] = [Self::Broker, Self::Queue, Self::Decode, Self::Enrich, Self::Insert];

    /// Its name, which is its series' name as well.
    pub fn name(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Queue => "queue",
            Self::Decode => "decode",
            Self::Enrich => "enrich",
            Self::Insert => "insert",
        }
    }
}

/// Longest latency that is told apart; longer ones are recorded as this.
pub const MAX_LATENCY: Duration = Duration::from_secs(24 * 3600);

/// One stage's latencies. A negative one is counted apart as clock skew, never clamped to 0.
#[derive(Clone)]
pub struct Latencies {
    microseconds: Histogram<u64>,
    clock_skew: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        let microseconds = Histogram::new_with_bounds(1, MAX_LATENCY.as_micros() as u64, 3)
            .expect("1 µs to a day at 3 digits are bounds that a histogram takes");
        Self { microseconds, clock_skew: 0 }
    }
}

impl Latencies {
    /// Records one latency of `nanos` nanoseconds; below 0 it is clock skew.
    pub fn record_nanos(&mut self, nanos: i64) {
        match u64::try_from(nanos) {
            Ok(nanos) => self.microseconds.saturating_record(nanos.div_ceil(1_000)),
            Err(_) => self.clock_skew += 1,
        }
    }

    /// Adds all of `other`.
    pub fn add(&mut self, other: &Self) {
        self.microseconds.add(&other.microseconds).expect("all have the same bounds");
        self.clock_skew += other.clock_skew;
    }

    /// Empties it, keeping its memory.
    pub fn clear(&mut self) {
        self.microseconds.reset();
        self.clock_skew = 0;
    }

    /// Number recorded, skewed ones not counted.
    pub fn count(&self) -> u64 {
        self.microseconds.len()
    }

    /// The figures that are reported.
    pub fn summary(&self) -> LatencySummary {
        let ms = |micros: u64| micros as f64 / 1_000.0;
        let at = |quantile: f64| ms(self.microseconds.value_at_quantile(quantile));
        LatencySummary {
            count: self.count(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: ms(self.microseconds.max()),
            clock_skew: self.clock_skew,
        }
    }
}

/// Percentiles of a stage, in milliseconds, to three digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LatencySummary {
    /// How many were measured.
    pub count: u64,
    /// Half were at most this.
    pub p50: f64,
    /// Nine of ten were at most this.
    pub p90: f64,
    /// 99 % were at most this.
    pub p99: f64,
    /// 99.9 % were at most this.
    pub p999: f64,
    /// The longest.
    pub max: f64,
    /// How many would have been negative.
    pub clock_skew: u64,
}

/// Appends one histogram a stage and interval to `NAME.hlog`, in the interval log form of HdrHistogram.
pub struct LatencyLog {
    path: PathBuf,
    started: Instant,
    file: BufWriter<File>,
    serializer: V2Serializer,
}

impl LatencyLog {
    /// Opens `directory/NAME.hlog` (and makes the directory); what a program of the same name left there stays.
    ///
    /// # Errors
    /// When the folder or the file can't be written.
    pub fn open(directory: &Path, name: &str) -> io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let path = directory.join(format!("{name}.hlog"));
        let mut file = BufWriter::new(File::options().create(true).append(true).open(&path)?);
        let mut serializer = V2Serializer::new();
        let now = SystemTime::now();
        IntervalLogWriterBuilder::new()
            .with_start_time(now)
            .with_base_time(now)
            .begin_log_with(&mut file, &mut serializer)?;
        file.flush()?;
        Ok(Self { path, started: Instant::now(), file, serializer })
    }

    /// Where it is written.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends what `series` saw in the interval that ends now. An empty interval leaves no line.
    ///
    /// # Errors
    /// When the disk takes no more.
    pub fn append(&mut self, series: &str, interval: Duration, latencies: &Latencies) -> io::Result<()> {
        self.write(series, interval, &latencies.microseconds)?;
        // What would be negative can't be in a histogram: it is counted in a series beside the other.
        let mut skewed = Latencies::default().microseconds;
        skewed.saturating_record_n(0, latencies.clock_skew);
        self.write(&format!("{series}{SKEW_SUFFIX}"), interval, &skewed)
    }

    fn write(&mut self, series: &str, interval: Duration, histogram: &Histogram<u64>) -> io::Result<()> {
        if histogram.is_empty() {
            return Ok(());
        }
        let tag = Tag::new(series).expect("a series' name has no comma, space or line break");
        let start = self.started.elapsed().saturating_sub(interval);
        let failed = |error| io::Error::other(format!("{error:?}"));
        let mut line = Vec::new();
        IntervalLogWriterBuilder::new()
            .begin_log_with(&mut line, &mut self.serializer)
            .and_then(|mut log| log.write_histogram(histogram, start, interval, Some(tag)).map_err(failed))?;
        self.file.write_all(&line)?;
        self.file.flush()
    }
}

/// Merges those lines of every `*.hlog` in `directory` whose series is `wanted`.
///
/// # Errors
/// When the folder or a log can't be read, or a log isn't one.
pub fn merge_logs(directory: &Path, wanted: impl Fn(&str) -> bool) -> io::Result<Latencies> {
    let mut merged = Latencies::default();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "hlog") {
            merge_log(&path, &wanted, &mut merged)?;
        }
    }
    Ok(merged)
}

fn merge_log(path: &Path, wanted: impl Fn(&str) -> bool, merged: &mut Latencies) -> io::Result<()> {
    let bytes = std::fs::read(path)?;
    // A killed program may leave half a line; what stands before it is whole.
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let mut deserializer = Deserializer::new();
    for entry in IntervalLogIterator::new(&bytes[..whole]) {
        let broken = |what: String| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {what}", path.display()));
        let LogEntry::Interval(interval) = entry.map_err(|e| broken(format!("{e:?}")))? else { continue };
        let Some(tag) = interval.tag() else { continue };
        let (series, skewed) =
            tag.as_str().strip_suffix(SKEW_SUFFIX).map_or((tag.as_str(), false), |series| (series, true));
        if wanted(series) {
            let encoded = BASE64.decode(interval.encoded_histogram()).map_err(|e| broken(e.to_string()))?;
            let histogram: Histogram<u64> =
                deserializer.deserialize(&mut encoded.as_slice()).map_err(|e| broken(format!("{e:?}")))?;
            if skewed {
                merged.clock_skew += histogram.len();
            } else {
                merged.microseconds.add(&histogram).map_err(|e| broken(format!("{e:?}")))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_logged_by_several_is_merged_by_series_even_after_a_torn_line() {
        let folder = tempfile::tempdir().unwrap();
        for (name, milliseconds) in [("a", 1..=50), ("b", 51..=100)] {
            let mut log = LatencyLog::open(folder.path(), name).unwrap();
            for value in milliseconds {
                let mut latencies = Latencies::default();
                latencies.record_nanos(value * 1_000_000);
                log.append("commit", Duration::from_secs(1), &latencies).unwrap();
                log.append("other", Duration::from_secs(1), &latencies).unwrap();
                latencies.clear();
                latencies.record_nanos(-1);
                log.append("commit", Duration::from_secs(1), &latencies).unwrap();
            }
            use std::io::Write;
            let mut file = File::options().append(true).open(log.path()).unwrap();
            file.write_all(b"Tag=commit,0.1,1.0,2.7,HISTFAAA").unwrap();
        }
        let summary = merge_logs(folder.path(), |series| series == "commit").unwrap().summary();
        assert_eq!((summary.count, summary.clock_skew), (100, 100));
        assert!((summary.p50 - 50.0).abs() < 0.1 && (summary.max - 100.0).abs() < 0.1, "{summary:?}");
    }

    #[test]
    fn a_negative_latency_is_clock_skew() {
        let mut latencies = Latencies::default();
        latencies.record_nanos(-1);
        latencies.record_nanos(2_000);
        assert_eq!((latencies.count(), latencies.summary().clock_skew), (1, 1));
    }
}
