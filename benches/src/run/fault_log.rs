//! The faults of a run as they happen: in `faults.jsonl`, and for those who watch.

use std::{
    fs::File,
    io::Write,
    path::Path,
    sync::{Mutex, PoisonError},
};

use anyhow::Context;

use super::chronicle::Chronicle;
use crate::{
    fault::{
        event::{FaultChange, FaultEvent},
        injector::Observer,
    },
    view::Observation,
};

const FILE: &str = "faults.jsonl";

/// Writes each beginning and each end of a fault to a line of the file in `folder`.
///
/// # Errors
/// When the file can't be created.
pub fn observer(folder: &Path, chronicle: Chronicle) -> anyhow::Result<Observer> {
    let path = folder.join(FILE);
    let file = File::create(&path).with_context(|| format!("{} can't be written", path.display()))?;
    let file = Mutex::new(file);
    Ok(Box::new(move |event: FaultEvent| {
        if let Err(error) = append(&file, &event) {
            chronicle.failure(format!("{} can't be written: {error:#}", path.display()));
        }
        chronicle.record(event.at, event.to_string());
        chronicle.observe(observation(event));
    }))
}

fn append(file: &Mutex<File>, event: &FaultEvent) -> anyhow::Result<()> {
    let line = serde_json::to_string(event)? + "\n";
    file.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes())?;
    Ok(())
}

fn observation(event: FaultEvent) -> Observation {
    let error = event.change.error().map(str::to_owned);
    match event.change {
        FaultChange::Began { lasting } => Observation::FaultBegan { fault: event.fault, lasting },
        _ => Observation::FaultEnded { fault: event.fault, error },
    }
}
