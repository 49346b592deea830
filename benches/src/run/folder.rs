//! The folder of a run: the ledger of the producers, and beside it the scenario, the settings, the logs and the report.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use chrono::Utc;
use serde::Serialize;
use shared::{ledger::RunId, order_id::RunTag};

use crate::{scenario::Scenario, settings::RunSettings};

const SCENARIO: &str = "scenario.toml";
const SETTINGS: &str = "settings.json";

/// Where a run leaves what it did.
#[derive(Clone, Debug)]
pub struct RunFolder {
    pub run_id: RunId,
    pub path: PathBuf,
}

/// `settings.json`: where the run took place. It has no password.
#[derive(Serialize)]
struct RecordedSettings<'a> {
    stack: Option<&'a str>,
    brokers: &'a str,
    topic: &'a str,
    group: &'a str,
    redis: String,
    redis_prefix: &'a str,
    database: String,
    kafka_config: &'a [(String, String)],
    /// The command line of `loadtest`.
    arguments: Vec<String>,
}

impl RunFolder {
    /// Creates the folder of a new run, with the scenario and the settings.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn create(scenario: &Scenario, settings: &RunSettings, stack: Option<&str>) -> anyhow::Result<Self> {
        let run_id = RunId::new(Utc::now(), RunTag::random());
        let path = settings.runs.folder(&run_id);
        fs::create_dir_all(path.join("logs")).with_context(|| {
            format!("the folder {} can't be created: choose another one with --runs-dir", path.display())
        })?;
        write(&path.join(SCENARIO), scenario.text.as_bytes())?;
        write(&path.join(SETTINGS), &serde_json::to_vec_pretty(&recorded(settings, stack)?)?)?;
        Ok(Self { run_id, path })
    }
}

fn recorded<'a>(settings: &'a RunSettings, stack: Option<&'a str>) -> anyhow::Result<RecordedSettings<'a>> {
    let services = &settings.services;
    Ok(RecordedSettings {
        stack,
        brokers: &services.kafka.brokers,
        topic: &services.topic.topic,
        group: &settings.group,
        redis: services.cache.address(),
        redis_prefix: &services.cache.redis_prefix,
        database: services.database.settings()?.to_string(),
        kafka_config: &services.kafka.extra,
        arguments: std::env::args().skip(1).collect(),
    })
}

fn write(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    fs::write(path, content).with_context(|| format!("{} can't be written", path.display()))
}
