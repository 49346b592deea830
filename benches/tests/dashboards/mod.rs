//! The dashboards on a live Prometheus.

mod panel;

use std::{
    io::Write,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use benches::{
    fault::Target,
    run::{ProducerSetup, ProgramSetup, ProgramState, Programs},
};
use panel::{Query, queries};
use shared::{kafka::ensure_topic, ledger::RunsFolder};
use testbed::Testbed;

use super::{
    prometheus::{Prometheus, ScrapeTarget},
    scenario::TIMEOUT,
};

const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// A cache-worker, two consumers, and a producer that sends until it is stopped.
async fn start_programs(bed: &Testbed) -> Programs {
    ensure_topic(&bed.kafka, &bed.topic.orders()).await.unwrap();
    ensure_topic(&bed.kafka, &bed.topic.dead_letters()).await.unwrap();
    let (folder, environment) = (bed.folder().to_owned(), bed.environment());
    let programs = Programs::new(ProgramSetup { folder, environment, kafka_config: Vec::new() });
    programs.start(Target::CacheWorker).await.unwrap();
    programs.wait_until_ready(Target::CacheWorker).await.unwrap();
    programs.scale_consumers(2).await.unwrap();
    programs.set_producers(ProducerSetup {
        run_id: "dashboards".parse().unwrap(),
        runs: RunsFolder { runs_dir: bed.runs() },
        shards: 1,
        start_at: ProducerSetup::start_after(Duration::from_secs(3)),
        arguments: ["--rate", "500", "--catch-up", "1m"].map(str::to_owned).to_vec(),
    });
    programs.start(Target::Producer(1)).await.unwrap();
    programs
}

fn scrape_target(program: &ProgramState) -> ScrapeTarget {
    let job = match program.target {
        Target::Producer(_) => "producer",
        Target::Consumer(_) => "consumer",
        _ => "cache-worker",
    };
    ScrapeTarget { job, address: program.address }
}

/// Waits until each query had data. Returns those that had none.
fn wait_for_data(prometheus: &Prometheus, mut queries: Vec<Query>) -> Vec<Query> {
    let started = Instant::now();
    while !queries.is_empty() && started.elapsed() < TIMEOUT {
        sleep(CHECK_INTERVAL);
        queries.retain(|query| !prometheus.has_data(&query.expression));
    }
    queries
}

/// What `promtool check metrics` says of the page `/metrics` of a program; nothing when all is well.
fn lint(program: &ProgramState) -> String {
    let mut answer = ureq::get(format!("http://{}/metrics", program.address)).call().unwrap();
    let page = answer.body_mut().read_to_string().unwrap();
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    if output.status.success() { String::new() } else { format!("{}:\n{said}", program.target) }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_of_the_dashboards_has_data_under_load_and_the_metrics_follow_the_rules_of_prometheus() {
    let bed = Testbed::new("dashboards").await;
    let programs = start_programs(&bed).await;
    let (list, folder) = (programs.list(), bed.folder().to_owned());
    let consumer = programs.get(Target::Consumer(1)).unwrap().address.to_string();
    let checking = tokio::task::spawn_blocking(move || {
        let prometheus = Prometheus::start(&folder);
        prometheus.discover(&list.iter().map(scrape_target).collect::<Vec<_>>());
        let without_data = wait_for_data(&prometheus, queries(&consumer));
        let without_data = without_data.into_iter().map(|Query { panel, expression }| format!("{panel}: {expression}"));
        let without_data: Vec<String> = without_data.collect();
        assert!(without_data.is_empty(), "no data:\n{}", without_data.join("\n"));
        let failing = prometheus.failing_rules(TIMEOUT);
        assert!(failing.is_empty(), "rules that can't be evaluated:\n{}", failing.join("\n"));
        let problems: String = list.iter().map(lint).collect();
        assert!(problems.is_empty(), "{problems}");
    });
    checking.await.unwrap();
    programs.stop_all().await.unwrap();
}
