//! Opens the ledger of a run whose producer was killed, to continue it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use chrono::{DateTime, Utc};
use shared::ledger::{Ledger, Run, RunId};

use super::open_ledger::{RunLedger, open_latency_log};
use crate::{
    clock::RunClock,
    settings::{Command, RunPlan},
};

/// Opens the ledger of the shard. The run keeps its tag and its start, so that the due times and ids of its orders are
/// the same.
///
/// # Errors
/// When the shard has no ledger, has ended or is still running, when its settings differ, or when a file can't be read
/// or written.
pub fn reopen_ledger(command: &Command, id: &RunId, plan: &RunPlan) -> anyhow::Result<RunLedger> {
    let (journal, ledger) = command.run.runs.reopen(id, command.run.shard())?;
    let Ledger { run, journal: earlier, .. } = ledger;
    check_settings(&run, &command.for_record(plan.seed, &plan.source, plan.lifecycle.as_ref()))?;
    let clock = clock_of(run.started_at)?;
    let latency_log = open_latency_log(command, &run)?;
    Ok(RunLedger { run, clock, journal, latency_log, earlier: Some(earlier) })
}

/// Other settings would give other orders to the numbers that the ledger has.
fn check_settings(run: &Run, settings: &BTreeMap<String, String>) -> anyhow::Result<()> {
    let names: BTreeSet<&String> = run.settings.keys().chain(settings.keys()).collect();
    let value =
        |of: &BTreeMap<String, String>, name: &String| of.get(name).cloned().unwrap_or_else(|| "unset".to_owned());
    let different: Vec<String> = names
        .into_iter()
        .filter(|name| run.settings.get(*name) != settings.get(*name))
        .map(|name| difference(name, &value(&run.settings, name), &value(settings, name)))
        .collect();
    ensure!(
        different.is_empty(),
        "run {} was started with other settings, but --resume needs the same ones: {}",
        run.run_id,
        different.join("; ")
    );
    Ok(())
}

/// A text of several lines, such as the file of a lifecycle, is in the ledger, and would hide the rest of the message.
fn difference(name: &str, was: &str, is: &str) -> String {
    if was.contains('\n') && is.contains('\n') {
        return format!("{name} is another text than in run.json");
    }
    let [was, is] = [was, is].map(|text| if text.contains('\n') { "set" } else { text });
    format!("{name} was {was}, and is {is}")
}

/// The clock of a run that started at this time, which may be in the past.
fn clock_of(started_at: DateTime<Utc>) -> anyhow::Result<RunClock> {
    let (now, instant) = (Utc::now(), Instant::now());
    let since = |duration: chrono::TimeDelta| duration.to_std().unwrap_or(Duration::ZERO);
    let start = instant
        .checked_sub(since(now - started_at))
        .context("the start of the run is out of the range of the monotonic clock")?;
    Ok(RunClock { start: start + since(started_at - now), started_at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_of_a_run_counts_from_its_start_before_and_after_it() {
        for seconds in [-100, 100] {
            let clock = clock_of(Utc::now() + chrono::TimeDelta::seconds(seconds)).unwrap();
            let now = Duration::from_nanos(clock.now().unsigned_abs()).as_secs_f64();
            assert!((now - 100.0).abs() < 5.0 && (clock.now() < 0) == (seconds > 0), "{seconds}: {now}");
        }
    }
}
