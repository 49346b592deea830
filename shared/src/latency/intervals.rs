use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD as BASE64};
use chrono::{DateTime, Utc};
use hdrhistogram::{
    Histogram,
    serialization::{
        Deserializer,
        interval_log::{IntervalLogHistogram, IntervalLogIterator, LogEntry},
    },
};

use super::histogram::Latencies;

/// Suffix of the series that counts the negative latencies of another series.
pub(super) const SKEW_SUFFIX: &str = ".skewed";

/// The latencies of one series that a program recorded in one interval.
#[derive(Clone)]
pub struct Interval {
    /// Name of the log: that of its file without `.hlog`.
    pub log: String,
    /// Name of the series.
    pub series: String,
    /// Begin, by the clock of the program.
    pub start: DateTime<Utc>,
    /// Length.
    pub length: Duration,
    /// The latencies recorded in it, or the number of negative ones alone: a log has these in a line of their own.
    pub latencies: Latencies,
}

impl Interval {
    /// The middle. The intervals of all programs end at whole seconds, so their middles are far from whole seconds:
    /// the second that has the middle is that of the interval.
    pub fn middle(&self) -> DateTime<Utc> {
        self.start + self.length / 2
    }
}

/// Follows the logs of a folder (`*.hlog`) while programs append to them: each read returns what was added since the
/// one before it. An incomplete last line is left until it is complete.
pub struct IntervalReader {
    folder: PathBuf,
    logs: BTreeMap<PathBuf, FollowedLog>,
}

impl IntervalReader {
    /// Follows the logs of `folder`, which need not exist yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), logs: BTreeMap::new() }
    }

    /// Calls `found` with each new interval for whose log and series `wanted` returns true, log by log.
    ///
    /// # Errors
    /// When the folder or a log can't be read, or a log is damaged; the first error of several. The intervals that
    /// could be read are found nevertheless, and the next read continues behind the damage. The last line of a program
    /// that was killed is not damage, even if the program has been started again since.
    pub fn read(&mut self, wanted: impl Fn(&str, &str) -> bool, found: impl FnMut(Interval)) -> io::Result<()> {
        self.read_until(DateTime::<Utc>::MAX_UTC, wanted, found)
    }

    /// As [`Self::read`], but leaves the intervals whose middle is not before `until` for a later call. So the logs of
    /// a long run can be read second by second, and never are in memory as a whole.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_until(
        &mut self,
        until: DateTime<Utc>,
        wanted: impl Fn(&str, &str) -> bool,
        mut found: impl FnMut(Interval),
    ) -> io::Result<()> {
        let opened = self.open_new_logs();
        self.logs.values_mut().fold(opened, |result, log| result.and(log.read_until(until, &wanted, &mut found)))
    }

    /// Tells, once all is read, whether the last line of a log is complete and can't be decoded.
    ///
    /// # Errors
    /// When there is such a line.
    pub fn check_end(&mut self) -> io::Result<()> {
        self.logs.values_mut().find_map(|log| log.undecided.take()).map_or(Ok(()), Err)
    }

    /// The middle of the next interval that [`Self::read_until`] left for later.
    pub fn next_middle(&self) -> Option<DateTime<Utc>> {
        self.logs.values().filter_map(|log| Some(log.ahead.as_ref()?.middle())).min()
    }

    fn open_new_logs(&mut self) -> io::Result<()> {
        let entries = match std::fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "hlog") && !self.logs.contains_key(&path) {
                let log = FollowedLog::open(&path)?;
                self.logs.insert(path, log);
            }
        }
        Ok(())
    }
}

/// A log and how far it is read.
struct FollowedLog {
    path: PathBuf,
    name: String,
    file: BufReader<File>,
    /// The beginning of a line whose end is not written yet.
    line: Vec<u8>,
    /// Time to which the lines are relative: that of the last header.
    base: Duration,
    /// An interval that begins after the time until which was read.
    ahead: Option<Interval>,
    /// The error of a line that can't be decoded. It is no error when a header follows: the program was killed while it
    /// wrote the line.
    undecided: Option<io::Error>,
}

impl FollowedLog {
    fn open(path: &Path) -> io::Result<Self> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let file = BufReader::new(File::open(path)?);
        let (path, line, base) = (path.to_owned(), Vec::new(), Duration::ZERO);
        Ok(Self { path, name, file, line, base, ahead: None, undecided: None })
    }

    fn read_until(
        &mut self,
        until: DateTime<Utc>,
        wanted: &impl Fn(&str, &str) -> bool,
        found: &mut impl FnMut(Interval),
    ) -> io::Result<()> {
        let mut result = Ok(());
        loop {
            if let Some(interval) = self.ahead.take_if(|interval| interval.middle() < until) {
                found(interval);
            }
            if self.ahead.is_some() {
                return result;
            }
            let read = self.file.read_until(b'\n', &mut self.line)?;
            if read == 0 || self.line.last() != Some(&b'\n') {
                return result;
            }
            let line = std::mem::take(&mut self.line);
            result = result.and(self.add(&line, wanted));
        }
    }

    /// Takes over one line.
    fn add(&mut self, line: &[u8], wanted: &impl Fn(&str, &str) -> bool) -> io::Result<()> {
        let damaged = |what: String| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{} is damaged: {what}", self.path.display()))
        };
        match IntervalLogIterator::new(line).next() {
            // A comment.
            None => Ok(()),
            Some(Ok(LogEntry::StartTime(_))) => {
                self.undecided = None;
                Ok(())
            }
            Some(Ok(LogEntry::BaseTime(base))) => {
                self.undecided = None;
                self.base = base;
                Ok(())
            }
            Some(Ok(LogEntry::Interval(entry))) => {
                let decoded = decode(&entry, &self.name, self.base, wanted).map_err(damaged);
                let before = self.undecided.take().map_or(Ok(()), Err);
                match decoded {
                    Ok(interval) => self.ahead = interval,
                    Err(error) => self.undecided = Some(error),
                }
                before
            }
            Some(Err(error)) => {
                let error = damaged(format!("{error:?}"));
                self.undecided.replace(error).map_or(Ok(()), Err)
            }
        }
    }
}

/// The interval of a line, when it is wanted.
fn decode(
    entry: &IntervalLogHistogram,
    log: &str,
    base: Duration,
    wanted: impl Fn(&str, &str) -> bool,
) -> Result<Option<Interval>, String> {
    let Some(tag) = entry.tag() else { return Ok(None) };
    let (series, is_skew) =
        tag.as_str().strip_suffix(SKEW_SUFFIX).map_or((tag.as_str(), false), |series| (series, true));
    if !wanted(log, series) {
        return Ok(None);
    }
    let encoded = BASE64.decode(entry.encoded_histogram()).map_err(|error| error.to_string())?;
    let histogram: Histogram<u64> =
        Deserializer::new().deserialize(&mut encoded.as_slice()).map_err(|error| format!("{error:?}"))?;
    let latencies = if is_skew {
        let mut latencies = Latencies::up_to(Duration::ZERO);
        latencies.clock_skew = histogram.len();
        latencies
    } else {
        Latencies { microseconds: histogram, clock_skew: 0 }
    };
    let (start, length) = (DateTime::<Utc>::UNIX_EPOCH + base + entry.start_timestamp(), entry.duration());
    Ok(Some(Interval { log: log.to_owned(), series: series.to_owned(), start, length, latencies }))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::latency::LatencyLog;

    fn of(milliseconds: i64) -> Latencies {
        let mut latencies = Latencies::default();
        latencies.record_nanos(milliseconds * 1_000_000);
        latencies
    }

    fn append(log: &mut LatencyLog, series: &str, milliseconds: i64) {
        log.append(series, Duration::from_secs(1), &of(milliseconds)).unwrap();
    }

    /// The new intervals: log, series, maximum in whole milliseconds.
    fn read(reader: &mut IntervalReader) -> Vec<(String, String, u64)> {
        let mut found = Vec::new();
        let max = |latencies: &Latencies| latencies.summary().max.round() as u64;
        reader
            .read(|_, series| series != "unwanted", |it| found.push((it.log, it.series, max(&it.latencies))))
            .unwrap();
        found
    }

    fn interval(log: &str, series: &str, max: u64) -> (String, String, u64) {
        (log.to_owned(), series.to_owned(), max)
    }

    #[test]
    fn each_read_returns_the_intervals_that_were_added_since_the_one_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut reader = IntervalReader::new(folder.path().join("later"));
        assert_eq!(read(&mut reader), [], "the folder does not exist yet");
        let mut first = LatencyLog::open(&folder.path().join("later"), "a").unwrap();
        append(&mut first, "x", 1);
        append(&mut first, "unwanted", 2);
        assert_eq!(read(&mut reader), [interval("a", "x", 1)]);
        assert_eq!(read(&mut reader), []);
        let mut second = LatencyLog::open(&folder.path().join("later"), "b").unwrap();
        append(&mut second, "y", 3);
        append(&mut first, "x", 4);
        assert_eq!(read(&mut reader), [interval("a", "x", 4), interval("b", "y", 3)]);
    }

    #[test]
    fn a_line_is_returned_once_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let (whole, cut) = (folder.path().join("whole"), folder.path().join("cut"));
        append(&mut LatencyLog::open(&whole, "a").unwrap(), "x", 5);
        let bytes = std::fs::read(whole.join("a.hlog")).unwrap();
        std::fs::create_dir(&cut).unwrap();
        let (mut log, mut reader) = (File::create(cut.join("a.hlog")).unwrap(), IntervalReader::new(&cut));
        for (n, byte) in bytes.iter().enumerate() {
            assert_eq!(read(&mut reader), [], "{n} of {} bytes", bytes.len());
            log.write_all(&[*byte]).unwrap();
        }
        assert_eq!(read(&mut reader), [interval("a", "x", 5)]);
    }

    #[test]
    fn the_incomplete_last_line_of_a_killed_program_is_skipped_when_it_starts_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut reader = IntervalReader::new(folder.path());
        append(&mut LatencyLog::open(folder.path(), "a").unwrap(), "x", 1);
        let mut file = File::options().append(true).open(folder.path().join("a.hlog")).unwrap();
        file.write_all(b"Tag=x,0.1,1.0,2.7,HISTFAAA").unwrap();
        assert_eq!(read(&mut reader), [interval("a", "x", 1)]);
        append(&mut LatencyLog::open(folder.path(), "a").unwrap(), "x", 2);
        assert_eq!(read(&mut reader), [interval("a", "x", 2)]);
        reader.check_end().unwrap();
    }

    #[test]
    fn a_damaged_line_is_an_error_that_costs_no_other_line() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = LatencyLog::open(folder.path(), "a").unwrap();
        for (n, line) in [(1, &b"Tag=x,0.1,1.0,2.7,HISTFAAA\n"[..]), (2, b"nonsense\n"), (3, b"")] {
            append(&mut log, "x", n);
            File::options().append(true).open(log.path()).unwrap().write_all(line).unwrap();
        }
        let (mut reader, mut found) = (IntervalReader::new(folder.path()), 0);
        let error = reader.read(|_, _| true, |_| found += 1).unwrap_err().to_string();
        assert!(error.contains("a.hlog is damaged") && found == 3, "{error}, {found} intervals");
        assert_eq!(read(&mut reader), []);
        File::options().append(true).open(log.path()).unwrap().write_all(b"nonsense\n").unwrap();
        assert_eq!(read(&mut reader), []);
        assert!(reader.check_end().is_err(), "the last line is damaged");
    }

    #[test]
    fn an_interval_has_the_time_at_which_it_was_recorded_even_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let mut reader = IntervalReader::new(folder.path());
        for _ in 0..2 {
            let before = Utc::now();
            let mut log = LatencyLog::open(folder.path(), "a").unwrap();
            std::thread::sleep(Duration::from_millis(60));
            log.append("x", Duration::from_millis(50), &of(1)).unwrap();
            let after = Utc::now();
            let mut found = Vec::new();
            reader.read(|_, _| true, |interval| found.push(interval)).unwrap();
            let [interval] = &found[..] else { panic!("{} intervals", found.len()) };
            // The log has milliseconds.
            let rounding = Duration::from_millis(2);
            assert!(interval.start + rounding >= before && interval.start + interval.length <= after + rounding);
            assert_eq!(interval.length, Duration::from_millis(50));
        }
    }

    #[test]
    fn what_is_read_until_a_time_and_after_it_is_all_there_is() {
        let folder = tempfile::tempdir().unwrap();
        let header = "#[BaseTime: 1000.000 (seconds since epoch)]\n";
        let whole = {
            let (other, mut line) = (tempfile::tempdir().unwrap(), String::new());
            append(&mut LatencyLog::open(other.path(), "a").unwrap(), "x", 1);
            let text = std::fs::read_to_string(other.path().join("a.hlog")).unwrap();
            let histogram = text.lines().last().unwrap().rsplit_once(',').unwrap().1.to_owned();
            for second in 0..4 {
                line += &format!("Tag=x,{second}.000,1.000,1.0,{histogram}\n");
            }
            header.to_owned() + &line
        };
        std::fs::write(folder.path().join("a.hlog"), whole).unwrap();
        let mut reader = IntervalReader::new(folder.path());
        let mut until = |seconds: i64| {
            let (mut found, until) = (Vec::new(), DateTime::from_timestamp(seconds, 0).unwrap());
            reader.read_until(until, |_, _| true, |interval| found.push(interval.start.timestamp())).unwrap();
            (found, reader.next_middle().map(|middle| middle.timestamp()))
        };
        assert_eq!(until(1_001), (vec![1_000], Some(1_001)));
        assert_eq!(until(1_001), (vec![], Some(1_001)));
        assert_eq!(until(1_003), (vec![1_001, 1_002], Some(1_003)));
        assert_eq!(until(2_000), (vec![1_003], None));
    }
}
