//! One sample a second, taken by a thread of its own.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use anyhow::Context;
use chrono::{DateTime, Utc};
use shared::ledger::{RunId, RunsFolder};
use tokio::sync::broadcast;

use super::{
    live_latencies::LiveLatencies,
    model::Sample,
    offsets::{LagSource, LatestOffsets, watch_offsets},
    processes::{ProcessMeter, WatchedProcess},
    programs::{ProgramReader, SampledProgram},
    sample::SecondFigures,
    servers::servers,
    stages::RunTags,
    stop_signal::StopSignal,
};

/// When a sample is taken, after each whole second. Producers update their metrics, and consumers their stored offsets,
/// at whole seconds; this is late enough to find the values of the same second each time.
const SAMPLE_OFFSET: Duration = Duration::from_millis(250);
/// Samples that a slow receiver may leave unread.
const SAMPLES_KEPT: usize = 64;

/// What is sampled.
pub struct SamplerSettings {
    pub run_id: RunId,
    pub runs: RunsFolder,
    /// Folder of the latency logs of producers and consumers.
    pub stats: PathBuf,
    /// Due time of the first order.
    pub first_due: DateTime<Utc>,
    /// Orders due per second at a time, in seconds after the first due time.
    pub asked_rate: Box<dyn Fn(f64) -> f64 + Send>,
    /// All programs that were started at least once.
    pub programs: Box<dyn Fn() -> Vec<SampledProgram> + Send>,
    pub lag: LagSource,
    /// Folder of the stack; `None` when its servers are not processes of this machine.
    pub stack: Option<PathBuf>,
}

/// Takes samples until it is stopped or dropped.
pub struct Sampler {
    samples: Arc<Mutex<Vec<Arc<Sample>>>>,
    sender: broadcast::Sender<Arc<Sample>>,
    stop: StopSignal,
    threads: Vec<JoinHandle<()>>,
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.stop.stop();
    }
}

impl Sampler {
    /// Starts sampling. A program, server or broker that does not answer delays no sample; what it counted is then in a
    /// later one.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(settings: SamplerSettings) -> anyhow::Result<Self> {
        let (samples, sender, stop) =
            (Arc::<Mutex<_>>::default(), broadcast::Sender::new(SAMPLES_KEPT), StopSignal::default());
        let offsets = LatestOffsets::default();
        let mut sampler = Self { samples, sender, stop, threads: Vec::new() };
        let (lag, latest, stop) = (settings.lag.clone(), offsets.clone(), sampler.stop.clone());
        sampler.spawn("offsets", move || watch_offsets(&lag, &latest, &stop))?;
        let (samples, sender, stop) = (sampler.samples.clone(), sampler.sender.clone(), sampler.stop.clone());
        let mut sources = Sources::new(settings, offsets);
        sampler.spawn("sampler", move || {
            while stop.wait_until_second(SAMPLE_OFFSET) {
                let sample = Arc::new(sources.sample());
                locked(&samples).push(sample.clone());
                // Without a receiver, the sample is kept all the same.
                let _ = sender.send(sample);
            }
        })?;
        Ok(sampler)
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
        self.threads.push(thread.with_context(|| format!("thread {name} can't be started"))?);
        Ok(())
    }

    /// The samples from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Sample>> {
        self.sender.subscribe()
    }

    /// The last sample; `None` in the first second.
    pub fn latest(&self) -> Option<Arc<Sample>> {
        locked(&self.samples).last().cloned()
    }

    /// Takes one more sample, at its regular time, and returns all of them. With programs that have done their work,
    /// the last one has their final counts.
    ///
    /// # Errors
    /// When a thread of the sampler has panicked.
    pub async fn stop(mut self) -> anyhow::Result<Vec<Arc<Sample>>> {
        let mut receiver = self.subscribe();
        // The thread ends only after a stop, or by a panic, which the join reports.
        let _ = tokio::time::timeout(Duration::from_secs(3), receiver.recv()).await;
        self.stop.stop();
        let threads = std::mem::take(&mut self.threads);
        let joined =
            tokio::task::spawn_blocking(move || threads.into_iter().map(JoinHandle::join).all(|it| it.is_ok()));
        anyhow::ensure!(joined.await?, "a thread of the sampler has panicked, which is a bug");
        Ok(std::mem::take(&mut *locked(&self.samples)))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All that a sample is taken from.
struct Sources {
    settings: SamplerSettings,
    offsets: LatestOffsets,
    programs: ProgramReader,
    processes: ProcessMeter,
    latencies: LiveLatencies,
    figures: SecondFigures,
}

impl Sources {
    fn new(settings: SamplerSettings, offsets: LatestOffsets) -> Self {
        let (run_id, runs) = (settings.run_id.clone(), settings.runs.clone());
        let latencies = LiveLatencies::new(&settings.stats, RunTags::new(run_id.clone(), runs.clone()));
        let programs = ProgramReader::new(run_id, runs);
        let (processes, figures) = (ProcessMeter::default(), SecondFigures::default());
        Self { settings, offsets, programs, processes, latencies, figures }
    }

    fn sample(&mut self) -> Sample {
        let at = Utc::now();
        let programs = (self.settings.programs)();
        let (latencies, recent_latencies) = self.latencies.read();
        let read = self.programs.read(&programs, |consumer| self.latencies.committed(consumer));
        let seconds = (at - self.settings.first_due).as_seconds_f64();
        let mut sample = self.figures.sample(&read, &self.offsets.current());
        sample.at = at;
        sample.seconds = seconds;
        // The rate in the middle of the second before, whose orders the sample counts.
        sample.asked_rate = (self.settings.asked_rate)((seconds - SAMPLE_OFFSET.as_secs_f64()).round() - 0.5);
        (sample.latencies, sample.recent_latencies) = (latencies, recent_latencies);
        sample.processes = self.processes.read(&self.watched(&programs));
        sample
    }

    /// Servers, programs and this process.
    fn watched(&self, programs: &[SampledProgram]) -> Vec<WatchedProcess> {
        let mut watched = self.settings.stack.as_deref().map(servers).unwrap_or_default();
        watched.extend(programs.iter().filter_map(SampledProgram::watched));
        watched.push(WatchedProcess::this());
        watched
    }
}
