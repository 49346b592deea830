//! One pipeline per test: the resources of the testbed, the programs beside the producer, and the checks after a run.

use std::{path::Path, time::Duration};

use benches::{
    pipeline::{lag::wait_for_lag_zero, producer::run_producer, programs::PipelinePrograms},
    settings::{Action, Command, Lifecycle, PipelineSettings},
};
use clap::Parser;
use orderdb::audit::{AuditInputs, gather, report::AuditReport};
use shared::{
    database::DatabaseSettings,
    kafka::ensure_topic,
    ledger::{RunId, RunSummary, RunsFolder},
};
use testbed::Testbed;

/// Timeout of each wait for a condition.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// A running pipeline without a producer.
pub struct Scenario {
    pub bed: Testbed,
    pub settings: PipelineSettings,
    pub programs: PipelinePrograms,
}

/// The command line of `loadtest pipeline` with the test's resources, and without a warm-up.
pub fn arguments(bed: &Testbed, rate: u32, duration: &str, consumers: u16) -> Vec<String> {
    let path = |path: &Path| path.display().to_string();
    let arguments = [
        ("--rate", rate.to_string()),
        ("--duration", duration.to_owned()),
        ("--consumers", consumers.to_string()),
        ("--topic", bed.topic.topic.clone()),
        ("--group", bed.name.clone()),
        ("--redis-prefix", bed.cache.redis_prefix.clone()),
        ("--postgres-db", bed.database.database().to_owned()),
        ("--runs-dir", path(&bed.runs())),
        ("--work-dir", path(bed.folder())),
    ];
    let named = arguments.into_iter().flat_map(|(name, value)| [name.to_owned(), value]);
    ["loadtest", "pipeline", "--no-warm-up"].map(str::to_owned).into_iter().chain(named).collect()
}

impl Scenario {
    /// Starts cache-worker and consumers, and waits until all partitions are assigned.
    pub async fn start(test: &str, rate: u32, duration: &str, consumers: u16) -> Self {
        Self::start_with(test, rate, duration, consumers, &[]).await
    }

    /// The same with further arguments.
    pub async fn start_with(test: &str, rate: u32, duration: &str, consumers: u16, more: &[&str]) -> Self {
        let bed = Testbed::new(test).await;
        let mut arguments = arguments(&bed, rate, duration, consumers);
        arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        let command = Command::parse_from(arguments);
        let Action::Pipeline(settings) = command.action else { panic!("the arguments are of another action") };
        let (kafka, topic) = (&settings.services.kafka, &settings.services.topic);
        let partitions = ensure_topic(kafka, &topic.orders()).await.unwrap();
        ensure_topic(kafka, &topic.dead_letters()).await.unwrap();
        let mut programs = PipelinePrograms::start(&settings).await.unwrap();
        programs.wait_for_assignment(partitions).await.unwrap();
        Self { bed, settings: *settings, programs }
    }

    /// One producer run. `meanwhile` starts once `orders` orders are stored.
    pub async fn produce_and(&mut self, orders: i64, meanwhile: impl AsyncFnOnce(&mut PipelinePrograms)) -> RunSummary {
        let producing = run_producer(&self.settings, self.settings.duration, &[], Lifecycle::Placed);
        let disturbing = async {
            wait_until_stored(&self.bed, orders).await;
            meanwhile(&mut self.programs).await;
        };
        let (run, ()) = tokio::join!(producing, disturbing);
        run.unwrap()
    }

    /// Waits until the group has no lag.
    pub async fn drain(&mut self) {
        wait_for_lag_zero(&self.settings, &mut self.programs).await.unwrap();
    }

    /// Compares ledger, topic and table.
    pub async fn audit(&self, run_id: RunId) -> AuditReport {
        let inputs = AuditInputs {
            run_id,
            runs: RunsFolder { runs_dir: self.bed.runs() },
            stats_dir: Some(self.programs.stats_dir()),
            kafka: self.settings.services.kafka.clone(),
        };
        gather(inputs, &self.bed.database).await.unwrap()
    }

    /// Every order of the run is stored exactly once, and the table has no other orders.
    pub async fn assert_complete(&mut self, run: &RunSummary) {
        self.drain().await;
        let report = self.audit(run.run_id.clone()).await;
        assert!(report.is_balanced(), "{report:?}");
        assert_eq!(report.acknowledged, run.counts.acknowledged);
        assert_eq!(report.stored, report.in_topic, "{report:?}");
        assert_eq!(stored(&self.bed).await, report.stored as i64, "{report:?}");
    }

    /// Stops all programs and expects exit code 0: a consumer whose counts do not balance has another.
    pub async fn end(self) {
        self.programs.stop().await.unwrap();
    }
}

/// Rows in the table.
pub async fn stored(bed: &Testbed) -> i64 {
    stored_in(&bed.database).await
}

/// Rows in the table of `database`; 0 while the server can't be reached, as in the tests that stop it.
pub async fn stored_in(database: &DatabaseSettings) -> i64 {
    let Ok(client) = shared::database::connect(database).await else { return 0 };
    client.query_one("SELECT count(*) FROM orders", &[]).await.map_or(0, |row| row.get(0))
}

/// Waits until the table has at least `orders` rows.
pub async fn wait_until_stored(bed: &Testbed, orders: i64) {
    testbed::eventually("orders are stored", TIMEOUT, async || stored(bed).await >= orders).await;
}
