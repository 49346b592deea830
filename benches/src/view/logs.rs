//! The log lines of `loadtest` while the view is on the screen. They go to a file in the folder of the run, and to the
//! events.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, SecondsFormat, Utc};
use shared::telemetry::{DivertedLogs, divert_logs};
use tracing::Level;

/// The warnings and errors that are printed after the view.
const PRINTED: usize = 20;
/// Lines that wait for the events.
const WAITING: usize = 1_000;

#[derive(Clone, Debug)]
pub struct LogLine {
    pub at: DateTime<Utc>,
    pub level: Level,
    pub text: String,
}

/// Takes the log lines from its beginning to its drop.
pub struct Logs {
    shared: Arc<Mutex<Lines>>,
    _diverted: DivertedLogs,
}

#[derive(Default)]
struct Lines {
    /// Not yet among the events.
    waiting: Vec<LogLine>,
    warnings: Vec<LogLine>,
    /// Until the folder of the run is known.
    unwritten: Vec<String>,
    file: Option<(PathBuf, File)>,
}

impl Logs {
    pub fn divert() -> Self {
        let shared = Arc::new(Mutex::new(Lines::default()));
        let lines = Arc::clone(&shared);
        let diverted = divert_logs(move |level, text| {
            lock(&lines).add(LogLine { at: Utc::now(), level, text: text.to_owned() });
        });
        Self { shared, _diverted: diverted }
    }

    /// Writes the lines until now, and those that follow, to `loadtest.log` in this folder.
    pub fn write_to(&self, folder: &Path) {
        lock(&self.shared).open(folder);
    }

    /// The lines since the last call.
    pub fn take(&self) -> Vec<LogLine> {
        std::mem::take(&mut lock(&self.shared).waiting)
    }

    /// The last warnings and errors, and where all lines are: what is printed after the view.
    pub fn last_words(&self) -> Vec<String> {
        let lines = lock(&self.shared);
        let hidden = lines.warnings.len().saturating_sub(PRINTED);
        let mut words: Vec<String> = lines.warnings[hidden..].iter().map(formatted).collect();
        words.extend(lines.file.as_ref().map(|(path, _)| format!("log of loadtest: {}", path.display())));
        words
    }
}

impl Lines {
    fn add(&mut self, line: LogLine) {
        self.write(formatted(&line));
        if line.level <= Level::WARN {
            self.warnings.push(line.clone());
        }
        if self.waiting.len() < WAITING {
            self.waiting.push(line);
        }
    }

    fn write(&mut self, line: String) {
        match &mut self.file {
            // On a full disk the line is among the events still.
            Some((_, file)) => drop(writeln!(file, "{line}")),
            None => self.unwritten.push(line),
        }
    }

    fn open(&mut self, folder: &Path) {
        let path = folder.join("loadtest.log");
        let file = std::fs::create_dir_all(folder).and_then(|()| File::options().create(true).append(true).open(&path));
        match file {
            Ok(file) => self.file = Some((path, file)),
            Err(error) => {
                let text = format!("{} can't be written: {error}", path.display());
                return self.add(LogLine { at: Utc::now(), level: Level::WARN, text });
            }
        }
        for line in std::mem::take(&mut self.unwritten) {
            self.write(line);
        }
    }
}

fn formatted(line: &LogLine) -> String {
    format!("{} {:>5} {}", line.at.to_rfc3339_opts(SecondsFormat::Micros, true), line.level, line.text)
}

fn lock(lines: &Mutex<Lines>) -> MutexGuard<'_, Lines> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_from_before_the_folder_was_known_are_in_the_file_and_warnings_are_repeated_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::divert();
        let add = |level, text: &str| lock(&logs.shared).add(LogLine { at: Utc::now(), level, text: text.to_owned() });
        add(Level::INFO, "first");
        logs.write_to(folder.path());
        add(Level::WARN, "second");
        let file = std::fs::read_to_string(folder.path().join("loadtest.log")).unwrap();
        let lines: Vec<&str> = file.lines().collect();
        assert!(lines[0].ends_with("Z  INFO first") && lines[1].ends_with("Z  WARN second"), "{file}");
        assert_eq!(logs.take().len(), 2);
        assert!(logs.take().is_empty());
        let words = logs.last_words();
        assert!(words.len() == 2 && words[0].ends_with("second") && words[1].contains("loadtest.log"), "{words:?}");
    }
}
