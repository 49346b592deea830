use std::{
    fs::File,
    io::{self, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use hdrhistogram::{
    Histogram,
    serialization::{
        V2Serializer,
        interval_log::{IntervalLogWriterBuilder, Tag},
    },
};

use super::{
    histogram::Latencies,
    intervals::{IntervalReader, SKEW_SUFFIX},
};

/// The length of an interval of the logs.
const INTERVAL: Duration = Duration::from_secs(1);
/// An interval that would be shorter than this is made longer by the next one.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

/// Time from `now` to the end of the current interval. Intervals end at whole seconds of the system clock, so that
/// those of several programs cover the same seconds.
pub fn until_interval_end(now: SystemTime) -> Duration {
    let since_second = now.duration_since(UNIX_EPOCH).unwrap_or_default().subsec_nanos();
    let left = INTERVAL - Duration::from_nanos(since_second.into());
    if left < SHORTEST_INTERVAL { left + INTERVAL } else { left }
}

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
        let mut file = File::options().read(true).create(true).append(true).open(&path)?;
        // A program that was killed may have left an incomplete last line.
        let ends_within_a_line = !ends_with_line_break(&mut file)?;
        let mut file = BufWriter::new(file);
        if ends_within_a_line {
            file.write_all(b"\n")?;
        }
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

/// Whether a file is empty or its last line is complete.
fn ends_with_line_break(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// Merges, from every `*.hlog` in `folder`, the series for which `wanted` returns true.
///
/// # Errors
/// When the folder or a log can't be read, or a log is damaged. An incomplete last line is not damage, neither at the
/// end of the log nor before the header of a program that was started again.
pub fn merge_logs(folder: &Path, wanted: impl Fn(&str) -> bool) -> io::Result<Latencies> {
    std::fs::read_dir(folder)?;
    let (mut merged, mut reader) = (Latencies::default(), IntervalReader::new(folder));
    reader.read(|_, series| wanted(series), |interval| merged.add(&interval.latencies))?;
    reader.check_end()?;
    Ok(merged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_end_at_whole_seconds_and_none_is_very_short() {
        for (millis, expected) in [(0, 1_000), (1, 999), (500, 500), (900, 100), (901, 1_099), (999, 1_001)] {
            let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000) + Duration::from_millis(millis);
            assert_eq!(until_interval_end(now), Duration::from_millis(expected), "at {millis} ms");
        }
    }

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
