//! Property tests with random sequences of events: repeated and invalid orders and changes, rebalances, crashes,
//! failing writes. Invariants: no offset is stored before everything below it is processed; no statement has a row of a revoked
//! partition; at the end every order is in the table and every change in its history, or a dead letter, and each order
//! has the status with the highest sequence. [`mutants`] are defects that they must reveal.

mod cluster;
mod instance;
mod mutants;
mod table;

use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{TestError, TestRunner},
};

use self::{
    cluster::{ChangeKind, Kind, PARTITIONS, SharedCluster},
    instance::{Instance, WORKERS},
    mutants::Mutant,
    table::Fault,
};

#[derive(Clone, Debug)]
enum Event {
    Produced(usize, Kind),
    Changed(usize, ChangeKind),
    Read(usize, usize),
    BatchCommitted(usize, usize, Vec<Fault>),
    OffsetsCommitted,
    Revoked(usize),
    Lost(usize),
    Assigned(usize),
    Crashed,
}

async fn apply(cluster: &SharedCluster, instance: &mut Instance, mutant: Option<Mutant>, event: Event) {
    match event {
        Event::Produced(partition, kind) => cluster.lock().produce(partition, kind),
        Event::Changed(order, kind) => cluster.lock().produce_change(order, kind),
        Event::Read(partition, max_records) => instance.read(cluster, partition, max_records),
        Event::BatchCommitted(worker, max_records, faults) => {
            instance.commit_batch(cluster, worker, max_records, faults).await;
        }
        Event::OffsetsCommitted => cluster.lock().commit(),
        Event::Revoked(partition) => {
            let mut cluster = cluster.lock();
            cluster.commit();
            cluster.revoke(partition);
        }
        Event::Lost(partition) => cluster.lock().revoke(partition),
        Event::Assigned(partition) => cluster.lock().assign(partition),
        Event::Crashed => {
            (0..PARTITIONS).for_each(|partition| cluster.lock().revoke(partition));
            *instance = Instance::start(cluster, mutant);
        }
    }
    if instance.committer.force_stop.is_cancelled() {
        // The stop deadline is over: the records that are left are handed back, and the process exits.
        for worker in 0..WORKERS {
            instance.commit_batch(cluster, worker, usize::MAX, Vec::new()).await;
        }
        assert!(instance.is_balanced(), "{}", instance.committer.accounting);
        (0..PARTITIONS).for_each(|partition| cluster.lock().revoke(partition));
        *instance = Instance::start(cluster, mutant);
    }
    assert!(instance.is_balanced(), "{}", instance.committer.accounting);
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        6 => Just(Kind::Good),
        2 => Just(Kind::Repeat),
        1 => Just(Kind::Conflicting),
        1 => Just(Kind::Broken),
        1 => Just(Kind::Refused),
    ]
}

fn change_kinds() -> impl Strategy<Value = ChangeKind> {
    prop_oneof![
        6 => Just(ChangeKind::Next),
        2 => Just(ChangeKind::Swapped),
        2 => Just(ChangeKind::Repeat),
        1 => Just(ChangeKind::Conflicting),
        1 => Just(ChangeKind::Illegal),
        1 => Just(ChangeKind::Unknown),
        1 => Just(ChangeKind::Refused),
    ]
}

fn faults() -> impl Strategy<Value = Fault> {
    prop_oneof![
        3 => Just(Fault::LostBeforeCommit),
        3 => Just(Fault::LostAfterCommit),
        3 => Just(Fault::TooLong),
        2 => (0..PARTITIONS).prop_map(Fault::Revoked),
        2 => (0..PARTITIONS).prop_map(Fault::RevokedAndLost),
        1 => Just(Fault::ForceStop),
    ]
}

fn events() -> impl Strategy<Value = Event> {
    let partition = 0..PARTITIONS;
    prop_oneof![
        8 => (partition.clone(), kinds()).prop_map(|(partition, kind)| Event::Produced(partition, kind)),
        6 => (0..8_usize, change_kinds()).prop_map(|(order, kind)| Event::Changed(order, kind)),
        6 => (partition.clone(), 1..6_usize).prop_map(|(partition, max_records)| Event::Read(partition, max_records)),
        6 => (0..WORKERS, 1..12_usize, vec(faults(), 0..4))
            .prop_map(|(worker, max_records, faults)| Event::BatchCommitted(worker, max_records, faults)),
        2 => Just(Event::OffsetsCommitted),
        1 => partition.clone().prop_map(Event::Revoked),
        1 => partition.clone().prop_map(Event::Lost),
        4 => partition.prop_map(Event::Assigned),
        1 => Just(Event::Crashed),
    ]
}

/// Applies the events, then processes everything that was produced. Panics when an invariant does not hold.
async fn run_history(mutant: Option<Mutant>, sequence: Vec<Event>) {
    let cluster = SharedCluster::default();
    let mut instance = Instance::start(&cluster, mutant);
    let assigned =
        (0..PARTITIONS).flat_map(|partition| [Event::Assigned(partition), Event::Read(partition, usize::MAX)]);
    let committed = (0..WORKERS).map(|worker| Event::BatchCommitted(worker, usize::MAX, Vec::new()));
    for event in sequence.into_iter().chain(assigned).chain(committed) {
        apply(&cluster, &mut instance, mutant, event).await;
    }
    let cluster = cluster.lock();
    for (log, stored) in cluster.log.iter().zip(&cluster.stored) {
        assert!(log.iter().all(|record| cluster.is_processed(record)), "not all is processed: {log:?}");
        assert!(stored.is_none_or(|stored| stored == log.len() as i64), "{stored:?} of {}", log.len());
    }
    assert!(cluster.tables.orders.keys().all(|id| id.starts_with("good")));
    assert!(cluster.no_dead_letter_is_stored(), "a dead letter is stored");
    assert!(cluster.tables.statuses_are_the_latest(), "an order does not have its latest status");
    assert!(cluster.first_records_are_stored(), "the first record of an id is not the stored one");
    assert!(instance.committer.accounting.is_balanced(), "{}", instance.committer.accounting);
}

fn run_to_end(mutant: Option<Mutant>, sequence: Vec<Event>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(run_history(mutant, sequence));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_record_is_stored_or_dead_lettered_after_any_sequence_of_events(sequence in vec(events(), 0..120)) {
        run_to_end(None, sequence);
    }
}

#[test]
fn the_invariants_reveal_every_mutant() {
    for mutant in Mutant::ALL {
        let config = ProptestConfig {
            cases: 1_000,
            max_shrink_iters: 0,
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        let revealed = TestRunner::new(config).run(&vec(events(), 0..120), |sequence| {
            run_to_end(Some(mutant), sequence);
            Ok(())
        });
        assert!(matches!(revealed, Err(TestError::Fail(..))), "{mutant:?} passes 1,000 histories: {revealed:?}");
    }
}
