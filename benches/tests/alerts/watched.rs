//! A pipeline whose programs a Prometheus scrapes, with the alerts as they are shipped.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::{Duration, Instant},
};

use benches::{
    metrics,
    process::{Program, command, free_address},
};
use testbed::{Testbed, eventually};
use tokio::task::{block_in_place, spawn_blocking};

use crate::{
    prometheus::{Prometheus, ScrapeTarget},
    scenario::{self, TIMEOUT},
};

/// All that a rule of Prometheus waits for is in minutes.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

struct WatchedProgram {
    target: ScrapeTarget,
    arguments: Vec<String>,
    /// None after a kill.
    process: Option<Program>,
}

/// Names of alerts.
pub struct Alerts {
    pub all: BTreeSet<String>,
    pub fired: BTreeSet<String>,
}

pub struct Watched {
    pub bed: Testbed,
    /// Of all programs that are started from now on.
    pub environment: Vec<(String, String)>,
    prometheus: Prometheus,
    programs: BTreeMap<&'static str, WatchedProgram>,
    fired: BTreeSet<String>,
}

impl Watched {
    pub async fn new(test: &str) -> Self {
        let bed = Testbed::new(test).await;
        let (environment, prometheus) = (bed.environment(), block_in_place(|| Prometheus::start(bed.folder())));
        Self { bed, environment, prometheus, programs: BTreeMap::new(), fired: BTreeSet::new() }
    }

    /// Starts a program, `job`, under a name and waits until it is ready.
    pub async fn start(&mut self, name: &'static str, job: &'static str, arguments: &[&str]) {
        let target = ScrapeTarget { job, address: free_address().unwrap() };
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        self.programs.insert(name, WatchedProgram { target, arguments, process: None });
        self.start_again(name).await;
        self.discover();
    }

    /// Starts a program that was killed, at the same address.
    pub async fn start_again(&mut self, name: &str) {
        let program = self.programs.get_mut(name).unwrap();
        let mut command = command(program.target.job).unwrap();
        command.args(&program.arguments).args(["--listen", &program.target.address.to_string()]);
        command.envs(self.environment.iter().cloned());
        let process = Program::spawn_again(name, command, self.bed.folder()).unwrap();
        let (address, started) = (program.target.address, Instant::now());
        while !metrics::is_ready(address).await {
            assert!(started.elapsed() < TIMEOUT, "{name} of {} is not ready:\n{}", self.bed.name, process.log_tail());
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
        program.process = Some(process);
    }

    /// Kills a program. Prometheus goes on scraping it.
    pub async fn kill(&mut self, name: &str) {
        let process = self.programs.get_mut(name).unwrap().process.take().unwrap();
        spawn_blocking(move || process.kill()).await.unwrap().unwrap();
    }

    /// Stops a program. Prometheus no longer knows it.
    pub async fn remove(&mut self, name: &str) {
        let process = self.programs.remove(name).unwrap().process.unwrap();
        spawn_blocking(move || process.stop()).await.unwrap().unwrap();
        self.discover();
    }

    /// Waits until Prometheus has scraped a program since its start.
    pub async fn wait_for_scrape(&self, name: &str) {
        let address = self.address(name);
        let start = metrics::value(address, "process_start_time_seconds").await.unwrap();
        let scraped = format!("process_start_time_seconds{{instance=\"{address}\"}} == {start}");
        eventually("it is scraped", TIMEOUT, async || block_in_place(|| self.prometheus.has_data(&scraped))).await;
    }

    /// Waits until orders are stored and scraped. No alert may fire.
    pub async fn expect_health(&self) {
        scenario::wait_until_stored(&self.bed, 1_000).await;
        let processed = "sum(instance:orderflow_consumer_processed:rate1m) > 0";
        let is_scraped = async || block_in_place(|| self.prometheus.has_data(processed));
        eventually("Prometheus has data", TIMEOUT, is_scraped).await;
        let firing = block_in_place(|| self.prometheus.firing());
        assert!(firing.is_empty(), "without a fault: {firing:?}");
    }

    /// Waits until each of the alerts has fired.
    pub async fn expect_alerts(&mut self, alerts: &[&str], timeout: Duration) {
        let mut missing: BTreeSet<String> = alerts.iter().map(|alert| (*alert).to_owned()).collect();
        let waiting = async {
            while !missing.is_empty() {
                tokio::time::sleep(CHECK_INTERVAL).await;
                self.fired.append(&mut block_in_place(|| self.prometheus.firing()));
                missing.retain(|alert| !self.fired.contains(alert));
            }
        };
        let all = tokio::time::timeout(timeout, waiting).await.is_ok();
        assert!(all, "not within {timeout:?}: {missing:?}; {:?} have fired", self.fired);
    }

    /// Waits until none of the alerts fires any more.
    pub async fn expect_end_of(&self, alerts: &[&str]) {
        let fires = || block_in_place(|| self.prometheus.firing());
        let ended = async || alerts.iter().all(|alert| !fires().contains(*alert));
        eventually("the alerts are resolved", 2 * TIMEOUT, ended).await;
    }

    /// Stops all programs.
    pub async fn end(self) -> Alerts {
        let alerts = Alerts { all: block_in_place(|| self.prometheus.alerts()), fired: self.fired };
        spawn_blocking(move || drop((self.programs, self.prometheus, self.bed))).await.unwrap();
        alerts
    }

    fn address(&self, name: &str) -> SocketAddr {
        self.programs[name].target.address
    }

    fn discover(&self) {
        let targets: Vec<ScrapeTarget> = self.programs.values().map(|program| program.target.clone()).collect();
        self.prometheus.discover(&targets);
    }
}
