//! A Prometheus that scrapes the programs of a test every second. `deploy/stack install --check` installs it.

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use benches::process::{Program, free_address};
use serde_json::{Value, json};
use url::Url;

const ALERTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/observability/alerts.yaml");
const START_TIMEOUT: Duration = Duration::from_secs(30);
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

const JOBS: [&str; 3] = ["producer", "consumer", "cache-worker"];

/// A program that is scraped. Its job is its name.
#[derive(Clone, Debug)]
pub struct ScrapeTarget {
    pub job: &'static str,
    pub address: SocketAddr,
}

pub struct Prometheus {
    address: SocketAddr,
    folder: PathBuf,
    _process: Program,
}

impl Prometheus {
    /// Starts it, with the alerts and with the jobs of `deploy/observability/prometheus.yaml`. It scrapes what
    /// [`Self::discover`] names. Blocks until it is ready.
    pub fn start(folder: &Path) -> Self {
        let (address, folder) = (free_address().unwrap(), folder.join("prometheus"));
        fs::create_dir(&folder).unwrap();
        let config = folder.join("prometheus.json");
        // JSON is YAML.
        fs::write(&config, configuration(&folder).to_string()).unwrap();
        let mut command = Command::new("prometheus");
        command.arg("--config.file").arg(config).arg("--storage.tsdb.path").arg(folder.join("data"));
        command.arg("--web.listen-address").arg(address.to_string());
        let process = Program::spawn("prometheus", command, &folder).unwrap();
        let started = Instant::now();
        while ureq::get(format!("http://{address}/-/ready")).call().is_err() {
            assert!(started.elapsed() < START_TIMEOUT, "Prometheus does not start:\n{}", process.log_tail());
            sleep(CHECK_INTERVAL);
        }
        Self { address, folder, _process: process }
    }

    /// Scrapes these programs from now on, and no other ones: as Docker's DNS, which names those that run.
    pub fn discover<'a>(&self, programs: impl IntoIterator<Item = &'a ScrapeTarget> + Clone) {
        for job in JOBS {
            let programs = programs.clone().into_iter().filter(|program| program.job == job);
            let targets: Vec<String> = programs.map(|program| program.address.to_string()).collect();
            let (file, new) = (self.folder.join(format!("{job}.json")), self.folder.join("new"));
            fs::write(&new, json!([{ "targets": targets }]).to_string()).unwrap();
            fs::rename(new, file).unwrap();
        }
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

    /// The names of all alerts.
    pub fn alerts(&self) -> BTreeSet<String> {
        let rules = self.rules();
        let alerts = rules.iter().filter(|rule| rule["type"] == "alerting");
        alerts.map(|alert| alert["name"].as_str().unwrap().to_owned()).collect()
    }

    /// The names of the alerts that fire.
    pub fn firing(&self) -> BTreeSet<String> {
        let rules = self.rules();
        let firing = rules.iter().filter(|rule| rule["state"] == "firing");
        firing.map(|alert| alert["name"].as_str().unwrap().to_owned()).collect()
    }

    /// The rules, always in the same order.
    fn rules(&self) -> Vec<Value> {
        let mut answer = ureq::get(format!("http://{}/api/v1/rules", self.address)).call().unwrap();
        let answer: Value = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
        let groups = answer["data"]["groups"].as_array().unwrap();
        groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).cloned().collect()
    }

    /// Whether the result of a query has a value that is a number.
    pub fn has_data(&self, expression: &str) -> bool {
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

fn configuration(folder: &Path) -> Value {
    let scrape = |job: &str| {
        json!({
            "job_name": job,
            "file_sd_configs": [{ "files": [folder.join(format!("{job}.json"))], "refresh_interval": "1s" }],
        })
    };
    json!({
        "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
        "rule_files": [ALERTS],
        "scrape_configs": JOBS.map(scrape),
    })
}
