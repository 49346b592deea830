//! A run of the whole line in a test's own corner of the stack.

use std::{path::Path, time::Duration};

use benches::{
    pipeline::{line::Line, produce, wait_for_lag},
    settings::{Action, Command, PipelineSettings},
};
use clap::Parser;
use orderdb::audit::{AuditInputs, gather, report::AuditReport};
use shared::{
    database::DatabaseSettings,
    kafka::ensure_topic,
    ledger::{RunId, RunSummary, RunsDirectory},
};
use testbed::Testbed;

/// Longest wait for anything that a test waits for.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The line, running.
pub struct Scenario {
    pub bed: Testbed,
    pub settings: PipelineSettings,
    pub line: Line,
}

/// The arguments by which `loadtest pipeline` finds the test's corner.
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
    ["loadtest".to_owned(), "pipeline".to_owned()].into_iter().chain(named).collect()
}

impl Scenario {
    /// Starts cache-worker and consumers, and waits until every partition has its consumer.
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
        let partitions = ensure_topic(&settings.kafka, &settings.topic.orders()).await.unwrap();
        ensure_topic(&settings.kafka, &settings.topic.dead_letters()).await.unwrap();
        let mut line = Line::start(&settings).await.unwrap();
        line.wait_for_assignment(partitions).await.unwrap();
        Self { bed, settings: *settings, line }
    }

    /// One producer run, with `meanwhile` happening beside it once `orders` orders are stored.
    pub async fn produce_and(&mut self, orders: i64, meanwhile: impl AsyncFnOnce(&mut Line)) -> RunSummary {
        let producing = produce(&self.settings, self.settings.duration);
        let disturbing = async {
            wait_until_stored(&self.bed, orders).await;
            meanwhile(&mut self.line).await;
        };
        let (run, ()) = tokio::join!(producing, disturbing);
        run.unwrap()
    }

    /// Waits until the group has committed everything.
    pub async fn drain(&mut self) {
        wait_for_lag(&self.settings, &mut self.line).await.unwrap();
    }

    /// Ledger, topic and table compared.
    pub async fn audit(&self, run_id: RunId) -> AuditReport {
        let inputs = AuditInputs {
            run_id,
            runs: RunsDirectory { runs_dir: self.bed.runs() },
            stats_dir: Some(self.line.stats()),
            kafka: self.settings.kafka.clone(),
            dead_letter_topic: self.settings.topic.dead_letter_topic(),
        };
        gather(inputs, &self.bed.database).await.unwrap()
    }

    /// The run is whole: acknowledged, stored, nothing missing, nothing there that was not to be.
    pub async fn assert_whole(&mut self, run: &RunSummary) {
        self.drain().await;
        let report = self.audit(run.run_id.clone()).await;
        assert!(report.is_balanced(), "{report:?}");
        assert_eq!(report.acknowledged, run.counts.acknowledged);
        assert_eq!(report.stored, report.in_topic, "{report:?}");
        assert_eq!(stored(&self.bed).await, report.stored as i64, "{report:?}");
    }

    /// Ends all programs and expects that they end well: a consumer whose account does not balance does not.
    pub async fn end(self) {
        self.line.end(false).await.unwrap();
    }
}

/// Rows in the table.
pub async fn stored(bed: &Testbed) -> i64 {
    stored_in(&bed.database).await
}

/// Rows in this database's table.
pub async fn stored_in(database: &DatabaseSettings) -> i64 {
    // The server may be away for a moment, in a test that sees to it.
    let Ok(client) = shared::database::connect(database).await else { return 0 };
    client.query_one("SELECT count(*) FROM orders", &[]).await.map_or(0, |row| row.get(0))
}

/// Waits until the table has at least `orders` rows.
pub async fn wait_until_stored(bed: &Testbed, orders: i64) {
    testbed::eventually("orders are stored", PATIENCE, async || stored(bed).await >= orders).await;
}
