//! The part of a run between the first due time and the last stored order.

use std::{path::PathBuf, sync::Arc, time::Instant};

use chrono::{DateTime, Utc};
use tokio::{sync::broadcast::error::RecvError, task::AbortHandle};
use tokio_util::sync::CancellationToken;

use super::{
    chronicle::Chronicle,
    producers::{self, Ended},
    programs::Programs,
    registry::ProgramState,
    setup::ProducerSetup,
    waits::{Drained, drain},
};
use crate::{
    fault::{FaultRecord, Target, injector::Injector},
    measure::{LagSource, Sample, Sampler, SamplerSettings},
    scenario::Scenario,
    settings::RunSettings,
    view::{Observation, Observations},
};

/// What a load needs.
pub struct Load<'a> {
    pub scenario: &'a Scenario,
    pub settings: &'a RunSettings,
    pub producers: ProducerSetup,
    pub programs: &'a Programs,
    pub injector: &'a Injector,
    pub chronicle: &'a Chronicle,
    /// Folder of the stack whose servers are sampled.
    pub stack_folder: Option<PathBuf>,
}

/// What happened under load.
pub struct LoadResult {
    /// First due time.
    pub start: DateTime<Utc>,
    /// End of the schedule, or of the producers when they ended earlier.
    pub load_end: DateTime<Utc>,
    pub faults: Vec<FaultRecord>,
    pub samples: Vec<Arc<Sample>>,
    pub interrupted: bool,
}

impl Load<'_> {
    /// Sends the orders, injects the faults meanwhile, and waits until everything is stored. On `stop`, the producers
    /// are stopped and the faults undone.
    ///
    /// # Errors
    /// When a producer or the sampler can't be started.
    pub async fn run(self, stop: &CancellationToken) -> anyhow::Result<LoadResult> {
        let (start, chronicle) = (self.producers.start_at, self.chronicle);
        chronicle.step("starting the producers");
        chronicle.set_start(start);
        producers::start(self.programs, self.producers.clone()).await?;
        let sampler = Sampler::start(self.sampler_settings())?;
        let forwarding = forward_samples(&sampler, chronicle.observations().clone());
        chronicle.step("load");
        let (faults, load_end) = self.send_and_break(start, stop).await?;
        // Those that are overdue, or at a stop all.
        if let Err(error) = self.programs.stop_running(|target| matches!(target, Target::Producer(_))).await {
            chronicle.failure(format!("{error:#}"));
        }
        let interrupted = stop.is_cancelled() || !drain_all(self.settings, chronicle, stop).await;
        let samples = sampler.stop().await?;
        forwarding.abort();
        Ok(LoadResult { start, load_end, faults, samples, interrupted })
    }

    /// Returns once the producers have ended and the faults are undone.
    async fn send_and_break(
        &self,
        start: DateTime<Utc>,
        stop: &CancellationToken,
    ) -> anyhow::Result<(Vec<FaultRecord>, DateTime<Utc>)> {
        let length = self.scenario.length();
        let begin = Instant::now() + (start - Utc::now()).to_std().unwrap_or_default();
        // A fault without an end is undone with the end of the load.
        let stop_faults = stop.child_token();
        let injecting = self.injector.run(&self.scenario.faults, begin, &stop_faults);
        let sending = async {
            let changes = self.scenario.load.lifecycle.as_ref().map(|lifecycle| lifecycle.longest).unwrap_or_default();
            let waiting = producers::wait_for_end(self.programs, start, length, changes);
            let ended = stop.run_until_cancelled(waiting).await;
            let load_end = Utc::now().min(start + length);
            if ended == Some(Ended::Overdue) {
                self.chronicle.failure("a producer has not ended a minute after its last event was due".to_owned());
            }
            stop_faults.cancel();
            load_end
        };
        let (faults, load_end) = tokio::join!(injecting, sending);
        let faults = faults?;
        let begun = faults.len();
        if begun < self.scenario.faults.len() && !stop.is_cancelled() {
            let missing = self.scenario.faults.len() - begun;
            self.chronicle.failure(format!("{missing} faults did not begin before the end of the load"));
        }
        Ok((faults, load_end))
    }

    fn sampler_settings(&self) -> SamplerSettings {
        let (scenario, programs) = (self.scenario.clone(), self.programs.clone());
        SamplerSettings {
            run_id: self.producers.run_id.clone(),
            runs: self.producers.runs.clone(),
            stats: self.programs.setup().stats_dir(),
            first_due: self.producers.start_at,
            asked_rate: Box::new(move |seconds| scenario.asked_rate(seconds)),
            programs: Box::new(move || programs.list().iter().map(ProgramState::sampled).collect()),
            lag: lag_source(self.settings),
            stack: self.stack_folder.clone(),
        }
    }
}

/// The topic and the group of a run.
pub fn lag_source(settings: &RunSettings) -> LagSource {
    LagSource::new(&settings.services, &settings.group)
}

fn forward_samples(sampler: &Sampler, observations: Observations) -> AbortHandle {
    let mut samples = sampler.subscribe();
    let forwarding = tokio::spawn(async move {
        loop {
            match samples.recv().await {
                // Nobody may be watching.
                Ok(sample) => drop(observations.send(Observation::Sample(sample))),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    });
    forwarding.abort_handle()
}

/// Waits until the consumers have stored everything. Returns false on `stop`.
async fn drain_all(settings: &RunSettings, chronicle: &Chronicle, stop: &CancellationToken) -> bool {
    chronicle.step("waiting for the consumers");
    match stop.run_until_cancelled(drain(&lag_source(settings))).await {
        Some(Ok(Drained::All)) => {}
        Some(Ok(Drained::Stuck { lag })) => chronicle.failure(format!(
            "the consumers stopped reading: the lag of group {} stays at {lag} records for a minute",
            settings.group
        )),
        Some(Err(error)) => chronicle.failure(format!("{error:#}")),
        None => return false,
    }
    true
}
