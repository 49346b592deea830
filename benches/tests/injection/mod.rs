//! Faults of programs, tables, links, disks and clocks: each is seen while it is in force, and gone afterwards.

mod links;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use benches::{
    fault::{Fault, Target, event::FaultChange, preparation::Preparation},
    metrics,
    run::{ProducerSetup, ProgramChange},
    scenario::TimedFault,
};
use chrono::Utc;
use consumer::metrics::STORED;
use shared::{
    kafka::ensure_topic,
    latency::{DUE_TO_COMMIT, merge_logs},
    ledger::{RunId, RunsFolder, Verdict},
};
use testbed::{Testbed, eventually};
use tokio_util::sync::CancellationToken;

use super::{
    injector::{Injection, test_stack, timed},
    scenario::TIMEOUT,
};

const FIRST: Target = Target::Consumer(1);
const SECOND: Target = Target::Consumer(2);
const THIRD: Target = Target::Consumer(3);

impl Injection {
    fn changes(&self, target: Target) -> Vec<ProgramChange> {
        let history = self.programs.history().into_iter();
        history.filter(|event| event.target == target).map(|event| event.change).collect()
    }

    fn is_paused(&self, target: Target) -> bool {
        self.programs.get(target).is_some_and(|program| program.is_paused)
    }

    fn is_running(&self, target: Target) -> bool {
        self.programs.get(target).is_some_and(|program| program.is_running && !program.is_paused)
    }
}

async fn bed(test: &str) -> Testbed {
    let bed = Testbed::new(test).await;
    ensure_topic(&bed.kafka, &bed.topic.orders()).await.unwrap();
    testbed::fill_cache(&bed).await;
    bed
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_are_broken_at_their_times_and_are_ready_again_at_the_end_of_each_fault() {
    let bed = bed("injection_programs").await;
    let faults = [
        timed(100, 600, Fault::Kill(FIRST)),
        timed(200, 900, Fault::Pause(SECOND)),
        timed(300, 100, Fault::Pause(SECOND)),
        timed(300, 200, Fault::Stop(Target::CacheWorker)),
        timed(400, None, Fault::Restart(THIRD)),
        timed(500, 100, Fault::Kill(Target::Producer(7))),
    ];
    let injection = Injection::new(&bed, &faults).await;
    injection.programs.start_all([FIRST, SECOND, THIRD, Target::CacheWorker]).await.unwrap();
    let started = Utc::now();
    let records = injection.run(&faults).await;

    use ProgramChange::{Killed, Paused, Resumed, Started, Stopped};
    assert_eq!(injection.changes(FIRST), [Started, Killed, Started]);
    assert_eq!(injection.changes(SECOND), [Started, Paused, Resumed]);
    assert_eq!(injection.changes(THIRD), [Started, Stopped, Started]);
    assert_eq!(injection.changes(Target::CacheWorker), [Started, Stopped, Started]);
    for program in injection.programs.list() {
        assert!(metrics::is_ready(program.address).await, "{program:?}");
    }
    assert_eq!(records.len(), 6, "{records:?}");
    let record = |fault: &str, error: bool| {
        records
            .iter()
            .find(|it| it.fault == fault && it.error.is_some() == error)
            .unwrap_or_else(|| panic!("{records:?}"))
    };
    for (fault, planned, lasting) in
        [("kill consumer-1", 100, 600), ("pause consumer-2", 200, 900), ("stop cache-worker", 300, 200)]
    {
        let record = record(fault, false);
        assert!((record.planned_seconds - f64::from(planned) / 1_000.0).abs() < 1e-9, "{record:?}");
        assert!((record.began_at - started).num_milliseconds() >= i64::from(planned), "{record:?}");
        let lasted = record.ended_at.unwrap() - record.began_at;
        assert!(lasted.num_milliseconds() >= lasting, "{record:?}");
    }
    assert!(record("restart consumer-3", false).ended_at.is_some());
    let refused = record("pause consumer-2", true);
    assert!(refused.error.as_deref().unwrap().contains("pause consumer-2 is in force"), "{refused:?}");
    let absent = record("kill producer-7", true);
    assert!(absent.error.as_deref().unwrap().contains("producer-7 was never started"), "{absent:?}");

    let events = injection.events.lock().unwrap();
    let count = |wanted: fn(&FaultChange) -> bool| events.iter().filter(|event| wanted(&event.change)).count();
    let counts = [
        count(|change| matches!(change, FaultChange::Began { .. })),
        count(|change| *change == FaultChange::Ended),
        count(|change| matches!(change, FaultChange::Refused { .. })),
    ];
    assert_eq!(counts, [4, 4, 2], "{events:?}");
    let line = serde_json::to_value(&events[0]).unwrap();
    assert_eq!((&line["fault"], &line["event"]), (&"kill consumer-1".into(), &"began".into()), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_number_of_consumers_ends_or_stays() {
    let bed = bed("injection_scale").await;
    let faults = [timed(0, 100, Fault::ScaleConsumers(3)), timed(20_000, None, Fault::ScaleConsumers(2))];
    let injection = Injection::new(&bed, &faults).await;
    injection.programs.scale_consumers(1).await.unwrap();
    injection.run_without_error(&faults[..1]).await;
    use ProgramChange::{Started, Stopped};
    assert_eq!((injection.changes(FIRST), injection.changes(THIRD)), (vec![Started], vec![Started, Stopped]));
    let stays = TimedFault { at: Duration::ZERO, ..faults[1].clone() };
    let second = injection.run(&[stays]).await;
    assert!(second[0].ended_at.is_none() && second[0].error.is_none(), "{second:?}");
    assert!(injection.is_running(FIRST) && injection.is_running(SECOND) && !injection.is_running(THIRD));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_undoes_all_faults_and_so_does_a_drop() {
    let bed = bed("injection_stop").await;
    let faults = [
        timed(0, 3_600_000, Fault::Kill(FIRST)),
        timed(0, 3_600_000, Fault::Pause(SECOND)),
        timed(0, 3_600_000, Fault::LockTable { table: "orders".to_owned() }),
        timed(1_800_000, 1_000, Fault::Pause(FIRST)),
    ];
    let injection = Injection::new(&bed, &faults).await;
    injection.programs.start_all([FIRST, SECOND]).await.unwrap();
    let stop = CancellationToken::new();
    let disturbed = async {
        injection.wait_for_beginnings(3).await;
        assert!(!injection.is_running(FIRST) && injection.is_paused(SECOND) && is_locked(&bed).await);
    };
    let stopping = async {
        disturbed.await;
        stop.cancel();
    };
    let (records, ()) = tokio::join!(injection.injector.run(&faults, Instant::now(), &stop), stopping);
    let records = records.unwrap();
    assert_eq!(records.len(), 3, "{records:?}");
    assert!(records.iter().all(|record| record.ended_at.is_some() && record.error.is_none()), "{records:?}");
    assert!(injection.is_running(FIRST) && injection.is_running(SECOND) && !is_locked(&bed).await);

    injection.events.lock().unwrap().clear();
    let never = CancellationToken::new();
    tokio::select! {
        records = injection.injector.run(&faults, Instant::now(), &never) => panic!("{records:?}"),
        () = async {
            injection.wait_for_beginnings(3).await;
            assert!(!injection.is_running(FIRST) && injection.is_paused(SECOND) && is_locked(&bed).await);
        } => {}
    }
    assert!(injection.is_running(FIRST) && injection.is_running(SECOND) && !is_locked(&bed).await);
}

/// Whether another session can't read the orders.
async fn is_locked(bed: &Testbed) -> bool {
    let sql = bed.sql().await;
    sql.batch_execute("SET lock_timeout = '100ms'").await.unwrap();
    sql.batch_execute("SELECT FROM orders LIMIT 1").await.is_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_table_is_readable_again_at_the_end_of_the_fault_and_an_unknown_one_is_an_error() {
    let bed = bed("injection_lock").await;
    let lock = |at, table: &str| timed(at, 600, Fault::LockTable { table: table.to_owned() });
    let faults = [lock(0, "orders"), lock(0, "no \" table")];
    let injection = Injection::new(&bed, &faults).await;
    let watching = async {
        injection.wait_for_beginnings(1).await;
        assert!(is_locked(&bed).await);
    };
    let (records, ()) = tokio::join!(injection.run(&faults), watching);
    assert!(!is_locked(&bed).await);
    let (held, unknown) = records.iter().partition::<Vec<_>, _>(|record| record.error.is_none());
    let lasted = held[0].ended_at.unwrap() - held[0].began_at;
    assert!((600..3_000).contains(&lasted.num_milliseconds()), "{held:?}");
    assert!(unknown[0].error.as_deref().unwrap().contains("can't be locked"), "{unknown:?}");
}

/// A producer with these arguments, which starts in some seconds.
fn producer(bed: &Testbed, runs_dir: PathBuf, arguments: &[&str]) -> ProducerSetup {
    std::fs::create_dir_all(bed.runs()).unwrap();
    ProducerSetup {
        run_id: "faulty".parse::<RunId>().unwrap(),
        runs: RunsFolder { runs_dir },
        shards: 1,
        start_at: testbed::shared_start(),
        arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "half a minute: run by deploy/test --long"]
async fn a_full_disk_delays_the_ledger_of_a_producer_and_no_order() {
    let bed = bed("injection_disk").await;
    let faults = [timed(0, 20_000, Fault::FillDisk)];
    if !rustix::process::geteuid().is_root() {
        let prepared = Preparation::start(&[Fault::FillDisk], Some(&test_stack()), bed.folder(), &bed.runs()).await;
        let error = format!("{:#}", prepared.err().expect("only root mounts"));
        return assert!(error.contains("requires root"), "{error}");
    }
    let injection = Injection::new(&bed, &faults).await;
    let producer_1 = Target::Producer(1);
    let ledgers = injection.injector.ledgers().expect("the producer has a disk of its own");
    assert_ne!(ledgers, bed.runs());
    // Orders that are invalid at random make the journal grow by more than a block of the disk each second.
    let arguments = ["--rate", "4000", "--duration", "30s", "--invalid", "0.5"];
    injection.programs.set_producers(producer(&bed, ledgers.clone(), &arguments));
    injection.programs.start(producer_1).await.unwrap();
    let log = || std::fs::read_to_string(injection.programs.log_path(producer_1)).unwrap();
    let journal = ledgers.join("faulty/acknowledged.journal");
    let saved = || std::fs::metadata(&journal).map_or(0, |file| file.len());
    eventually("orders are in the ledger", TIMEOUT, async || saved() > 0).await;
    let refused = async { eventually("the disk is full", TIMEOUT, async || log().contains("No space left")).await };
    tokio::join!(injection.run_without_error(&faults), refused);
    let ended = async || injection.changes(producer_1).contains(&ProgramChange::Finished);
    eventually("the producer ends", TIMEOUT, ended).await;
    assert!(log().contains("written again, no entry is missing"), "{}", log());

    drop(injection);
    assert!(!ledgers.exists());
    let ledger = RunsFolder { runs_dir: bed.runs() }.read(&"faulty".parse().unwrap()).unwrap().remove(0);
    let summary = ledger.summary.unwrap();
    assert!(summary.counts.acknowledged > 0 && summary.verdict != Verdict::Lossy, "{summary:?}");
    assert_eq!(ledger.journal.acknowledged.len(), summary.counts.acknowledged);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "half a minute: run by deploy/test --long"]
async fn a_clock_set_back_is_seen_as_clock_skew_until_it_is_right_again_and_all_orders_are_stored() {
    let bed = bed("injection_clock").await;
    let faults = [timed(0, 3_000, Fault::SkewClock { target: FIRST, offset_ms: -60_000 })];
    let injection = Injection::new(&bed, &faults).await;
    injection.programs.start(FIRST).await.unwrap();
    let address = injection.programs.get(FIRST).unwrap().address;
    injection.programs.set_producers(producer(&bed, bed.runs(), &["--rate", "200", "--duration", "10s"]));
    injection.programs.start(Target::Producer(1)).await.unwrap();
    let stored = async || metrics::value(address, STORED).await.unwrap_or(0.0);
    eventually("orders are stored", TIMEOUT, async || stored().await > 0.0).await;
    let latencies = || {
        let stats = injection.programs.setup().stats_dir();
        merge_logs(&stats, |series| series.starts_with(DUE_TO_COMMIT))
            .map(|merged| merged.summary())
            .unwrap_or_default()
    };
    tokio::join!(injection.run_without_error(&faults), async {
        injection.wait_for_beginnings(1).await;
        eventually("the skew is counted", TIMEOUT, async || latencies().clock_skew > 0).await;
    });
    let ended = async || injection.changes(Target::Producer(1)).contains(&ProgramChange::Finished);
    eventually("the producer ends", TIMEOUT, ended).await;
    let ledger = RunsFolder { runs_dir: bed.runs() }.read(&"faulty".parse().unwrap()).unwrap().remove(0);
    let acknowledged = ledger.summary.unwrap().counts.acknowledged;
    eventually("all orders are stored", TIMEOUT, async || stored().await as u64 == acknowledged).await;
    let all = async || latencies().count + latencies().clock_skew == acknowledged;
    eventually("all latencies are logged", TIMEOUT, all).await;
    let latencies = latencies();
    // 200 orders per second, for 3 s and the time until the program has read the offset.
    assert!((200..1_600).contains(&latencies.clock_skew), "{latencies:?}");
}
