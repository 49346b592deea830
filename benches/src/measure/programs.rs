//! The counters and gauges of all programs of a run.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use shared::ledger::{RunId, RunSummary, RunsFolder};

use super::{
    counters::{Counter, Counts, LifetimeCounts},
    model::ProcessKind,
    page::{Page, PageReader},
    processes::WatchedProcess,
};
use crate::fault::Target;

/// A program of the run, as it has to be known here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampledProgram {
    pub target: Target,
    /// `None` while it does not run.
    pub pid: Option<u32>,
    /// Where it serves `/metrics`.
    pub address: SocketAddr,
    pub is_paused: bool,
    /// How often it was started: its counters begin at 0 with each start.
    pub starts: u32,
}

impl SampledProgram {
    fn is_running(&self) -> bool {
        self.pid.is_some()
    }

    fn has_counts(&self) -> bool {
        matches!(self.target, Target::Producer(_) | Target::Consumer(_))
    }

    /// Its process; `None` for a server.
    pub fn watched(&self) -> Option<WatchedProcess> {
        let kind = match self.target {
            Target::Producer(_) => ProcessKind::Producer,
            Target::Consumer(_) => ProcessKind::Consumer,
            Target::CacheWorker => ProcessKind::CacheWorker,
            Target::Broker(_) | Target::Redis | Target::Postgres => return None,
        };
        let pid = self.pid.and_then(|pid| pid.try_into().ok());
        Some(WatchedProcess { name: self.target.to_string(), kind, pid })
    }
}

/// What the programs say together.
#[derive(Clone, Debug, Default)]
pub struct ProgramFigures {
    /// Of all starts of all programs.
    pub counts: Counts,
    /// Orders that producers have enqueued and that are not acknowledged.
    pub in_flight: u64,
    pub cache_age_seconds: Option<f64>,
    /// The stored offset of each partition, and the consumer that has the partition. Of several consumers, that with
    /// the highest offset: another one has not noticed yet that it lost the partition.
    pub stored_offsets: BTreeMap<i32, (i64, Target)>,
}

/// Reads the pages of programs over connections that are kept open.
pub struct ProgramReader {
    run_id: RunId,
    runs: RunsFolder,
    programs: BTreeMap<Target, KnownProgram>,
}

struct KnownProgram {
    address: SocketAddr,
    reader: PageReader,
    counts: LifetimeCounts,
    page: Page,
    /// The start whose final counts are taken over.
    ended_start: u32,
}

impl KnownProgram {
    fn new(address: SocketAddr) -> Self {
        let (counts, page) = (LifetimeCounts::default(), Page::default());
        Self { address, reader: PageReader::new(address), counts, page, ended_start: 0 }
    }
}

impl ProgramReader {
    pub fn new(run_id: RunId, runs: RunsFolder) -> Self {
        Self { run_id, runs, programs: BTreeMap::new() }
    }

    /// Reads all producers and consumers at the same time. One that does not answer in time, or is paused, keeps its
    /// values; one that does not run keeps its counts only. `committed` are the rows in the log of a consumer, which
    /// was read after `programs` were listed.
    pub fn read(&mut self, programs: &[SampledProgram], committed: impl Fn(&str) -> u64) -> ProgramFigures {
        let programs: Vec<&SampledProgram> = programs.iter().filter(|program| program.has_counts()).collect();
        for program in &programs {
            let known = self.programs.entry(program.target).or_insert_with(|| KnownProgram::new(program.address));
            if known.address != program.address {
                (known.address, known.reader) = (program.address, PageReader::new(program.address));
            }
        }
        programs.iter().for_each(|program| self.note_end(program, &committed));
        std::thread::scope(|scope| {
            for (target, known) in &mut self.programs {
                let program = programs.iter().find(|program| program.target == *target);
                if let Some(program) = program.filter(|program| program.is_running() && !program.is_paused) {
                    scope.spawn(move || known.read(program.starts));
                }
            }
        });
        self.figures()
    }

    /// Takes over, once, what a program counted after its page was last read: a producer's summary and a consumer's log
    /// have it. A killed program has written neither for the last second.
    fn note_end(&mut self, program: &SampledProgram, committed: impl Fn(&str) -> u64) {
        let Some(known) = self.programs.get_mut(&program.target) else { return };
        let ended_start = if program.is_running() { program.starts - 1 } else { program.starts };
        if known.ended_start == ended_start {
            return;
        }
        match program.target {
            Target::Producer(number) => {
                // The summary is written before the producer exits.
                if let Some(totals) = final_counts(&self.run_id, &self.runs, number) {
                    known.counts.raise(totals);
                }
            }
            target => known.counts.note_committed(committed(&target.to_string())),
        }
        known.page = Page::default();
        known.ended_start = ended_start;
    }

    fn figures(&self) -> ProgramFigures {
        let mut figures = ProgramFigures::default();
        for (target, KnownProgram { counts, page, .. }) in &self.programs {
            figures.counts = figures.counts + counts.total();
            figures.in_flight += page.in_flight;
            figures.cache_age_seconds = page.cache_age_seconds.or(figures.cache_age_seconds);
            for (partition, offset) in &page.stored_offsets {
                let stored = figures.stored_offsets.entry(*partition).or_insert((*offset, *target));
                if stored.0 < *offset {
                    *stored = (*offset, *target);
                }
            }
        }
        figures
    }
}

impl KnownProgram {
    fn read(&mut self, start: u32) {
        if let Some(page) = self.reader.read() {
            self.counts.read(start, page.counts);
            self.page = page;
        }
    }
}

/// The counts in the summary of producer `number`, when it has written one. They are of all its starts. Those of a
/// resumed run count all orders as enqueued that were due before it was resumed; of these, only the ones with a result
/// were certainly sent.
fn final_counts(run_id: &RunId, runs: &RunsFolder, number: u16) -> Option<Counts> {
    let folder = runs.folder(run_id);
    let shards = std::fs::read_dir(&folder).ok()?.flatten().map(|entry| entry.path());
    let prefix = format!("{number}-of-");
    let is_of_this = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix));
    let folder = shards.into_iter().find(is_of_this).unwrap_or(folder);
    let summary: RunSummary = serde_json::from_slice(&std::fs::read(folder.join("summary.json")).ok()?).ok()?;
    let mut counts = Counts::default();
    for phase in [summary.counts, summary.warm_up] {
        let is_resumed = summary.resumed_at.is_some();
        counts[Counter::Sent] += if is_resumed { phase.acknowledged + phase.failed } else { phase.enqueued };
        counts[Counter::Acknowledged] += phase.acknowledged;
    }
    let changes = summary.changes.unwrap_or_default();
    counts[Counter::ChangesSent] = changes.enqueued;
    counts[Counter::ChangesAcknowledged] = changes.acknowledged;
    (summary.run_id == *run_id).then_some(counts)
}
