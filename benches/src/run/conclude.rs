//! Makes the report of a run: audits it, checks the requirements, and judges it.

use std::path::PathBuf;

use chrono::Utc;
use orderdb::audit::{AuditInputs, gather, report::AuditReport};
use shared::{
    latency::Latencies,
    ledger::{Ledger, RunSummary},
};

use super::{
    chronicle::Chronicle,
    figures::{RunFigures, counts, round_trips},
    folder::RunFolder,
    load::LoadResult,
    programs::Programs,
    stored_twice::stored_twice,
    verdict::{Evidence, judge},
};
use crate::{
    fault::FaultRecord,
    measure::{
        ACK, RunLatencies, RunTags, SENT, STORED, Schedule, growth, longest_recovery, machine, max_lag, phases,
        processes, recoveries, timeline, versions,
    },
    pipeline::requirements::StoredFigures,
    report::model::{Event, RunReport, ScenarioSummary, VERSION},
    scenario::Scenario,
    settings::RunSettings,
};

/// A run whose programs have ended.
pub struct EndedRun<'a> {
    pub scenario: &'a Scenario,
    pub settings: &'a RunSettings,
    pub folder: &'a RunFolder,
    pub programs: &'a Programs,
    pub chronicle: &'a Chronicle,
    pub load: LoadResult,
    /// Folder of the stack, for the versions of its servers.
    pub stack_folder: Option<PathBuf>,
}

/// What the audit found.
struct Proof {
    audit: AuditReport,
    stored_twice: u64,
}

impl EndedRun<'_> {
    /// # Errors
    /// When the ledger can't be read. A failed audit is no error, but a reason in the verdict.
    pub async fn report(self) -> anyhow::Result<RunReport> {
        let ledgers = self.settings.runs.read(&self.folder.run_id)?;
        let producers: Vec<RunSummary> = ledgers.iter().filter_map(|ledger| ledger.summary.clone()).collect();
        let proof = if self.load.interrupted { None } else { self.prove(&ledgers).await };
        let audit = proof.as_ref().map(|proof| &proof.audit);
        let (schedule, latencies) = self.latencies();
        let faults = self.faults(&schedule);
        let duplicates = self.load.samples.last().map_or(0, |sample| sample.duplicates);
        let counts = counts(&ledgers, audit, duplicates, proof.as_ref().map_or(0, |proof| proof.stored_twice));
        let stored_latencies = latencies.measured(&schedule, STORED);
        let stored = audit.map(|audit| StoredFigures { audit, duplicates, latencies: stored_latencies });
        let figures = RunFigures {
            counts: &counts,
            summaries: &producers,
            sent: latencies.measured(&schedule, SENT),
            acknowledged: latencies.measured(&schedule, ACK),
            round_trips: self.round_trips(),
            stored: stored.as_ref(),
            max_lag: max_lag(&schedule, &self.load.samples),
            longest_recovery: longest_recovery(&faults),
        };
        let requirements = figures.check(&self.scenario.requirements);
        let verdict = judge(&Evidence {
            counts: &counts,
            summaries: &producers,
            audit,
            requirements: &requirements,
            faults: &faults,
            failures: &self.failures(&schedule),
            interrupted: self.load.interrupted,
            stored_p99: stored.as_ref().and_then(|stored| stored.stored(0.99)),
        });
        let services = &self.settings.services;
        let versions = versions(self.stack_folder.as_deref(), &services.database.settings()?, &services.cache).await;
        let samples = &self.load.samples;
        Ok(RunReport {
            version: VERSION,
            run_id: self.folder.run_id.to_string(),
            scenario: self.scenario_summary(),
            started_at: self.load.start,
            ended_at: samples.last().map_or_else(Utc::now, |sample| sample.at),
            interrupted: self.load.interrupted,
            verdict,
            requirements,
            counts,
            latencies: latencies.distributions(&schedule),
            phases: phases(&schedule, samples, &latencies),
            timeline: timeline(samples, &latencies),
            faults,
            events: self.events(),
            processes: processes(&schedule, samples),
            machine: machine(),
            versions,
            audit: proof.map(|proof| proof.audit),
            producers,
        })
    }

    fn latencies(&self) -> (Schedule, RunLatencies) {
        let schedule = Schedule::new(self.load.start, &self.scenario.phases, self.load.load_end);
        let tags = RunTags::new(self.folder.run_id.clone(), self.settings.runs.clone());
        let latencies = RunLatencies::read(&self.programs.setup().stats_dir(), tags, &schedule);
        if let Some(damage) = &latencies.damage {
            self.chronicle.failure(damage.clone());
        }
        (schedule, latencies)
    }

    fn round_trips(&self) -> Latencies {
        round_trips(&self.programs.setup().stats_dir()).unwrap_or_else(|error| {
            self.chronicle.failure(format!("{error:#}"));
            Latencies::default()
        })
    }

    /// The faults, each with the recovery from it.
    fn faults(&self, schedule: &Schedule) -> Vec<FaultRecord> {
        let faults = &self.load.faults;
        let recoveries = recoveries(faults, &self.load.samples, schedule);
        faults.iter().zip(recoveries).map(|(fault, recovery)| FaultRecord { recovery, ..fault.clone() }).collect()
    }

    async fn prove(&self, ledgers: &[Ledger]) -> Option<Proof> {
        self.chronicle.step("audit");
        let prove = async {
            let database = self.settings.services.database.settings()?;
            let inputs = AuditInputs {
                run_id: self.folder.run_id.clone(),
                runs: self.settings.runs.clone(),
                stats_dir: Some(self.programs.setup().stats_dir()),
                kafka: self.settings.services.kafka.clone(),
            };
            let audit = gather(inputs, &database).await?;
            anyhow::Ok(Proof { audit, stored_twice: stored_twice(&database, ledgers).await? })
        };
        match prove.await {
            Ok(proof) => Some(proof),
            Err(error) => {
                self.chronicle.failure(format!("the audit failed: {error:#}"));
                None
            }
        }
    }

    /// Why the run is not valid whatever its figures are.
    fn failures(&self, schedule: &Schedule) -> Vec<String> {
        let (history, samples) = (self.programs.history(), &self.load.samples);
        let ends = history.iter().filter(|event| event.is_unexpected()).map(ToString::to_string);
        let under_load = &samples[..samples.partition_point(|sample| sample.seconds <= schedule.load_end())];
        let grown = growth(under_load).into_iter().map(|growth| growth.to_string());
        ends.chain(self.chronicle.failures()).chain(grown).collect()
    }

    fn events(&self) -> Vec<Event> {
        let of_programs = self.programs.history().into_iter().map(|event| (event.at, event.to_string()));
        self.chronicle.events(self.load.start, of_programs)
    }

    fn scenario_summary(&self) -> ScenarioSummary {
        let Scenario { name, description, load, text, .. } = self.scenario.clone();
        ScenarioSummary { name, description, seed: load.seed, text }
    }
}
