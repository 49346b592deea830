use std::{fs::File, io::Read, path::PathBuf, sync::Arc};

use clap::Args;

use super::usage::wrong_usage;
use crate::lifecycle::{self, Lifecycle};

/// A larger file is no lifecycle.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// What becomes of the orders.
#[derive(Clone, Debug, Args)]
pub struct LifecycleSettings {
    /// Let the orders go on: their statuses change by the transitions of an order, as this file says: which statuses
    /// follow, how often, and when. Without a file, as `producer lifecycle` prints. The changes are events of the same
    /// topic. The run ends when the last one was sent.
    #[arg(long, value_name = "FILE", num_args = 0..=1, help_heading = "Orders")]
    lifecycle: Option<Option<PathBuf>>,
}

/// The lifecycle of a run.
#[derive(Clone, Debug)]
pub struct ChosenLifecycle {
    pub lifecycle: Arc<Lifecycle>,
    /// The file that it was read from, so that the run can be repeated.
    pub text: String,
}

impl LifecycleSettings {
    /// `None` when the orders do not go on.
    ///
    /// # Errors
    /// Wrong usage, when the file can't be read or is wrong.
    pub fn read(&self) -> Result<Option<ChosenLifecycle>, clap::Error> {
        let (name, text) = match &self.lifecycle {
            None => return Ok(None),
            Some(None) => ("default.toml".to_owned(), lifecycle::default_text().to_owned()),
            Some(Some(path)) => (path.display().to_string(), read_file(path)?),
        };
        let lifecycle = lifecycle::read(&name, &text).map_err(|error| wrong_usage(&error.to_string()))?;
        Ok(Some(ChosenLifecycle { lifecycle: Arc::new(lifecycle), text }))
    }
}

fn read_file(path: &PathBuf) -> Result<String, clap::Error> {
    let unreadable = |cause: &dyn std::fmt::Display| {
        wrong_usage(&format!(
            "--lifecycle: the file {} can't be read: {cause}; `producer lifecycle` prints an example",
            path.display()
        ))
    };
    // Bounded, since it may be a device without end.
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
    read.map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(unreadable(&"it is larger than 64 KiB"));
    }
    String::from_utf8(bytes).map_err(|error| unreadable(&format!("it is not UTF-8: {}", error.utf8_error())))
}
