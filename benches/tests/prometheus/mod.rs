//! A Prometheus that scrapes the programs of a test every second. `deploy/stack install --check` installs it.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use benches::{
    fault::Target,
    process::{Program, free_address},
    run::ProgramState,
};
use serde_json::{Value, json};
use url::Url;

use super::panel::Query;

const ALERTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/observability/alerts.yaml");
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

pub struct Prometheus {
    address: SocketAddr,
    _process: Program,
}

impl Prometheus {
    /// Starts it, with the alerts and with the jobs of `deploy/observability/prometheus.yaml`.
    pub fn start(programs: &[ProgramState], folder: &Path) -> Self {
        let (address, config) = (free_address().unwrap(), folder.join("prometheus.json"));
        // JSON is YAML.
        fs::write(&config, configuration(programs).to_string()).unwrap();
        let mut command = Command::new("prometheus");
        command.arg("--config.file").arg(config).arg("--storage.tsdb.path").arg(folder.join("prometheus"));
        command.arg("--web.listen-address").arg(address.to_string());
        let process = Program::spawn("prometheus", command, folder).unwrap();
        Self { address, _process: process }
    }

    /// Waits until each query had data. Returns those that had none.
    pub fn wait_for_data(&self, mut queries: Vec<Query>, timeout: Duration) -> Vec<Query> {
        let started = Instant::now();
        while !queries.is_empty() && started.elapsed() < timeout {
            sleep(CHECK_INTERVAL);
            queries.retain(|query| !self.has_data(&query.expression));
        }
        queries
    }

    /// Waits until each rule of the alerts was evaluated once more. Returns those that can't be evaluated.
    pub fn failing_rules(&self, timeout: Duration) -> Vec<String> {
        let (started, before) = (Instant::now(), self.rules());
        assert!(!before.is_empty(), "Prometheus has no rule of {ALERTS}");
        let mut rules = self.rules();
        while has_rule_of(&rules, &before) && started.elapsed() < timeout {
            sleep(CHECK_INTERVAL);
            rules = self.rules();
        }
        rules.retain(|rule| rule["health"] != "ok");
        rules.iter().map(|rule| format!("{}: {} {}", rule["name"], rule["health"], rule["lastError"])).collect()
    }

    /// The rules, always in the same order.
    fn rules(&self) -> Vec<Value> {
        let mut answer = ureq::get(format!("http://{}/api/v1/rules", self.address)).call().unwrap();
        let answer: Value = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
        let groups = answer["data"]["groups"].as_array().unwrap();
        groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).cloned().collect()
    }

    /// Whether the result of a query has a value that is a number.
    fn has_data(&self, expression: &str) -> bool {
        let page = format!("http://{}/api/v1/query", self.address);
        let url = Url::parse_with_params(&page, [("query", expression)]).unwrap();
        let Ok(mut answer) = ureq::get(url.as_str()).call() else { return false };
        let answer: Value = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
        let samples = answer["data"]["result"].as_array().unwrap();
        let mut values = samples.iter().filter_map(|sample| sample["value"][1].as_str()?.parse::<f64>().ok());
        values.any(|value| !value.is_nan())
    }
}

/// Whether one of the rules was not evaluated since it was one of `earlier`.
fn has_rule_of(rules: &[Value], earlier: &[Value]) -> bool {
    rules.iter().zip(earlier).any(|(rule, earlier)| rule["lastEvaluation"] == earlier["lastEvaluation"])
}

fn configuration(programs: &[ProgramState]) -> Value {
    let scrape = |job: &str| {
        let programs = programs.iter().filter(|program| job_of(program.target) == Some(job));
        let targets: Vec<String> = programs.map(|program| program.address.to_string()).collect();
        json!({ "job_name": job, "static_configs": [{ "targets": targets }] })
    };
    let jobs = ["producer", "consumer", "cache-worker"].map(scrape);
    json!({
        "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
        "rule_files": [ALERTS],
        "scrape_configs": jobs,
    })
}

fn job_of(target: Target) -> Option<&'static str> {
    match target {
        Target::Producer(_) => Some("producer"),
        Target::Consumer(_) => Some("consumer"),
        Target::CacheWorker => Some("cache-worker"),
        _ => None,
    }
}
