//! The clocks of programs, which a fault sets wrong.
//!
//! A program whose clock a scenario sets wrong is started with libfaketime, which reads the offset of the wall clock
//! from a file. The monotonic clock, by which programs measure durations and wait, stays right.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;

use super::model::{Fault, Target};

/// How long the library uses an offset that it has read. Reading the file at each call of the clock takes 20 µs instead
/// of 2.
const REREAD: Duration = Duration::from_secs(1);

/// The clocks that can be set.
pub struct Clocks {
    library: PathBuf,
    /// By program: the file with its offset.
    files: BTreeMap<Target, PathBuf>,
}

impl Clocks {
    /// Prepares the clocks that `faults` set. `None` when they set none.
    ///
    /// # Errors
    /// When libfaketime is not installed, or `folder` can't be written.
    pub fn prepare<'a>(faults: impl Iterator<Item = &'a Fault>, folder: &Path) -> anyhow::Result<Option<Self>> {
        let targets = faults.filter_map(|fault| match fault {
            Fault::SkewClock { target, .. } => Some(*target),
            _ => None,
        });
        // A program may have another working directory.
        let folder = std::path::absolute(folder.join("clocks"))?;
        let files: BTreeMap<Target, PathBuf> =
            targets.map(|target| (target, folder.join(target.to_string()))).collect();
        if files.is_empty() {
            return Ok(None);
        }
        fs::create_dir_all(&folder).with_context(|| format!("{} can't be created", folder.display()))?;
        let library = find_library().context(
            "libfaketime is not installed, which sets a clock wrong: install the Debian package libfaketime",
        )?;
        let clocks = Self { library, files };
        clocks.files.keys().try_for_each(|target| clocks.write(*target, 0))?;
        Ok(Some(clocks))
    }

    /// The variables with which a program is started whose clock can be set.
    pub fn environment(&self, target: Target) -> Vec<(String, String)> {
        let Some(file) = self.files.get(&target) else { return Vec::new() };
        [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", file.display().to_string()),
            ("FAKETIME_CACHE_DURATION", REREAD.as_secs().to_string()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Sets the clock of a program by an offset, and waits until the program has read it.
    pub(super) async fn set(&self, target: Target, offset_ms: i64) -> anyhow::Result<()> {
        self.write(target, offset_ms)?;
        tokio::time::sleep(REREAD).await;
        Ok(())
    }

    /// Replaces the file: the program never reads a part of it.
    fn write(&self, target: Target, offset_ms: i64) -> anyhow::Result<()> {
        let file = self.files.get(&target).with_context(|| format!("the clock of {target} is not prepared"))?;
        let (sign, offset) = (if offset_ms < 0 { '-' } else { '+' }, offset_ms.unsigned_abs());
        let new = file.with_extension("new");
        fs::write(&new, format!("{sign}{}.{:03}\n", offset / 1_000, offset % 1_000))
            .and_then(|()| fs::rename(&new, file))
            .with_context(|| format!("{} can't be written", file.display()))
    }
}

/// The variant for programs with several threads, in the folder of the machine's architecture.
fn find_library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.filter_map(Result::ok);
    folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1")).find(|library| library.exists())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Seconds between this clock and that of a program with another one.
    fn seconds_ahead(clocks: &Clocks, target: Target) -> f64 {
        let mut date = Command::new("date");
        date.arg("+%s.%N").envs(clocks.environment(target));
        let now = |command: &mut Command| -> f64 {
            String::from_utf8(command.output().unwrap().stdout).unwrap().trim().parse().unwrap()
        };
        now(&mut date) - now(Command::new("date").arg("+%s.%N"))
    }

    #[tokio::test]
    async fn a_program_sees_the_offset_of_its_own_clock_until_it_is_set_right() {
        let folder = tempfile::tempdir().unwrap();
        let (ahead, back) = (Target::Consumer(1), Target::CacheWorker);
        let faults =
            [(ahead, 90_500), (back, -3_600_250)].map(|(target, offset_ms)| Fault::SkewClock { target, offset_ms });
        let clocks = Clocks::prepare(faults.iter(), folder.path()).unwrap().unwrap();
        assert!(seconds_ahead(&clocks, ahead).abs() < 0.3);
        clocks.set(ahead, 90_500).await.unwrap();
        clocks.set(back, -3_600_250).await.unwrap();
        assert!((seconds_ahead(&clocks, ahead) - 90.5).abs() < 0.3, "{}", seconds_ahead(&clocks, ahead));
        assert!((seconds_ahead(&clocks, back) + 3_600.25).abs() < 0.3, "{}", seconds_ahead(&clocks, back));
        clocks.set(ahead, 0).await.unwrap();
        assert!(seconds_ahead(&clocks, ahead).abs() < 0.3);
        assert!(clocks.environment(Target::Consumer(2)).is_empty());
    }
}
