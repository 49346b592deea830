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

use super::histogram::Latencies;

/// Suffix of the series that counts the negative latencies of another series.
const SKEW_SUFFIX: &str = ".skewed";

/// Appends histograms to `NAME.hlog` in the interval log format of HdrHistogram: one line per series and interval.
pub struct LatencyLog {
    path: PathBuf,
    started: Instant,
    file: BufWriter<File>,
    serializer: V2Serializer,
}

impl LatencyLog {
    /// Opens `folder/NAME.hlog` for appending. Creates the folder and the file when they are missing.
    ///
    /// # Errors
    /// When the folder or the file can't be written.
    pub fn open(folder: &Path, name: &str) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(format!("{name}.hlog"));
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

    /// Path of the log file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends the latencies of `series` in the interval that ends now. Writes no line when there are none.
    ///
    /// # Errors
    /// When the file can't be written, such as when the disk is full.
    ///
    /// # Panics
    /// When the name of the series has a comma, a space or a line break.
    pub fn append(&mut self, series: &str, interval: Duration, latencies: &Latencies) -> io::Result<()> {
        self.write(series, interval, &latencies.microseconds)?;
        // A histogram has no negative values, so their number is the count of a series of its own.
        let mut skewed = Latencies::up_to(Duration::ZERO).microseconds;
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

/// Merges, from every `*.hlog` in `folder`, the series for which `wanted` returns true.
///
/// # Errors
/// When the folder or a log can't be read, or a log is damaged. An incomplete last line is not damage.
pub fn merge_logs(folder: &Path, wanted: impl Fn(&str) -> bool) -> io::Result<Latencies> {
    let mut merged = Latencies::default();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "hlog") {
            merge_log(&path, &wanted, &mut merged)?;
        }
    }
    Ok(merged)
}

fn merge_log(path: &Path, wanted: impl Fn(&str) -> bool, merged: &mut Latencies) -> io::Result<()> {
    let bytes = std::fs::read(path)?;
    // A killed program may leave an incomplete last line. All lines before it are complete.
    let complete = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let mut deserializer = Deserializer::new();
    for entry in IntervalLogIterator::new(&bytes[..complete]) {
        let damaged = |what: String| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {what}", path.display()));
        let LogEntry::Interval(interval) = entry.map_err(|e| damaged(format!("{e:?}")))? else { continue };
        let Some(tag) = interval.tag() else { continue };
        let (series, skewed) =
            tag.as_str().strip_suffix(SKEW_SUFFIX).map_or((tag.as_str(), false), |series| (series, true));
        if wanted(series) {
            let encoded = BASE64.decode(interval.encoded_histogram()).map_err(|e| damaged(e.to_string()))?;
            let histogram: Histogram<u64> =
                deserializer.deserialize(&mut encoded.as_slice()).map_err(|e| damaged(format!("{e:?}")))?;
            if skewed {
                merged.clock_skew += histogram.len();
            } else {
                merged.microseconds.add(&histogram).map_err(|e| damaged(format!("{e:?}")))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_of_several_programs_are_merged_by_series_even_after_an_incomplete_line() {
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
}
