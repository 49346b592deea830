//! The registry of a run's programs: its names, addresses and logs outlive a kill, and each end is an event.

use std::{net::TcpListener, path::Path};

use benches::{
    fault::Target,
    run::{ProducerSetup, ProgramChange, ProgramSetup, ProgramState, Programs},
};
use rustix::process::{Pid, Signal, kill_process};
use shared::{
    kafka::ensure_topic,
    ledger::{Ledger, RunId, RunsFolder, Shard, read_journal},
};
use testbed::{Testbed, eventually};

use super::scenario::TIMEOUT;

const FIRST: Target = Target::Consumer(1);
const SECOND: Target = Target::Consumer(2);
const THIRD: Target = Target::Consumer(3);

fn programs(bed: &Testbed) -> Programs {
    let folder = bed.folder().to_owned();
    Programs::new(ProgramSetup { folder, environment: bed.environment(), kafka_config: Vec::new() })
}

fn changes(programs: &Programs, target: Target) -> Vec<ProgramChange> {
    programs.history().into_iter().filter(|event| event.target == target).map(|event| event.change).collect()
}

fn is_alive(program: &ProgramState) -> bool {
    Path::new(&format!("/proc/{}", program.pid.unwrap())).exists()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_started_again_keeps_its_name_address_and_log_and_each_end_is_an_event() {
    let bed = Testbed::new("programs").await;
    let programs = programs(&bed);
    let mut events = programs.events();
    programs.start(Target::CacheWorker).await.unwrap();
    programs.wait_until_ready(Target::CacheWorker).await.unwrap();
    programs.scale_consumers(3).await.unwrap();
    let assignments =
        || std::fs::read_to_string(programs.log_path(FIRST)).unwrap().matches("partitions assigned").count();
    eventually("the consumer has partitions", TIMEOUT, async || assignments() > 0).await;
    let first_life = assignments();
    let first = programs.get(FIRST).unwrap();
    assert!(programs.start(FIRST).await.unwrap_err().to_string().contains("consumer-1 runs already"));

    programs.kill(FIRST).await.unwrap();
    assert!(!programs.get(FIRST).unwrap().is_running && programs.kill(FIRST).await.is_err());
    programs.start(FIRST).await.unwrap();
    programs.wait_until_ready(FIRST).await.unwrap();
    let again = programs.get(FIRST).unwrap();
    assert_eq!((again.address, again.starts, again.is_running), (first.address, 2, true));
    assert_ne!(again.pid, first.pid);
    eventually("the log has both lives", TIMEOUT, async || assignments() > first_life).await;
    assert!(programs.setup().stats_dir().join("consumer-1.hlog").is_file());

    programs.pause(FIRST).await.unwrap();
    assert!(programs.get(FIRST).unwrap().is_paused);
    programs.resume(FIRST).await.unwrap();
    // A paused program handles SIGTERM as well.
    programs.pause(THIRD).await.unwrap();
    programs.scale_consumers(1).await.unwrap();
    let running: Vec<Target> = programs.list().iter().filter(|it| it.is_running).map(|it| it.target).collect();
    assert_eq!(running, [FIRST, Target::CacheWorker]);
    programs.scale_consumers(2).await.unwrap();
    assert_eq!(programs.get(SECOND).unwrap().starts, 2);
    assert!(!programs.get(THIRD).unwrap().is_running);

    let kill = |target| {
        let pid = programs.get(target).unwrap().pid.unwrap();
        kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL).unwrap();
    };
    kill(SECOND);
    eventually("the end is noticed", TIMEOUT, async || !programs.get(SECOND).unwrap().is_running).await;
    let ends = changes(&programs, SECOND);
    let [.., ProgramChange::EndedUnexpectedly(why)] = ends.as_slice() else { panic!("{ends:?}") };
    assert!(why.contains("signal: 9"), "{why}");
    use ProgramChange::{Killed, Paused, Resumed, Started};
    assert_eq!(changes(&programs, FIRST), [Started, Killed, Started, Paused, Resumed]);
    assert_eq!(events.recv().await.unwrap().target, Target::CacheWorker);

    // Another process takes the port of a consumer that does not run.
    programs.kill(FIRST).await.unwrap();
    let _occupied = TcpListener::bind(first.address).unwrap();
    programs.start(FIRST).await.unwrap();
    assert_ne!(programs.get(FIRST).unwrap().address, first.address);

    let left: Vec<ProgramState> = programs.list().into_iter().filter(|program| program.is_running).collect();
    assert!(left.len() == 2 && left.iter().all(is_alive), "{left:?}");
    tokio::task::spawn_blocking(move || drop(programs)).await.unwrap();
    assert!(!left.iter().any(is_alive), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_was_killed_continues_its_shard_when_it_is_started_again() {
    let bed = Testbed::new("killed_shard").await;
    ensure_topic(&bed.kafka, &bed.topic.orders()).await.unwrap();
    let programs = programs(&bed);
    let (runs, run_id): (_, RunId) = (RunsFolder { runs_dir: bed.runs() }, "killed".parse().unwrap());
    programs.set_producers(ProducerSetup {
        run_id: run_id.clone(),
        runs: runs.clone(),
        shards: 2,
        start_at: testbed::shared_start(),
        arguments: ["--rate", "200", "--source", "builtin", "--catch-up", "1m"].map(str::to_owned).to_vec(),
    });
    let (killed, other) = (Target::Producer(1), Target::Producer(2));
    programs.start_all([killed, other]).await.unwrap();
    let first: Shard = "1/2".parse().unwrap();
    let journal = runs.shard_folder(&run_id, first).join("acknowledged.journal");
    let acknowledged = || read_journal(&journal).map_or(0, |journal| journal.acknowledged.len());
    eventually("orders are acknowledged", TIMEOUT, async || acknowledged() > 0).await;
    programs.kill(killed).await.unwrap();
    let before = acknowledged();
    programs.start(killed).await.unwrap();
    eventually("more orders are acknowledged", TIMEOUT, async || acknowledged() > before).await;
    programs.stop_all().await.unwrap();
    let ledgers = runs.read(&run_id).unwrap();
    let resumed: Vec<bool> =
        ledgers.iter().map(|ledger| ledger.summary.as_ref().unwrap().resumed_at.is_some()).collect();
    assert_eq!(resumed, [true, false]);
    let contradictions: Vec<String> = ledgers.iter().flat_map(Ledger::contradictions).collect();
    assert_eq!(contradictions, Vec::<String>::new());
}
