//! Orders that go on after they were placed, with real brokers.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::Headers,
};
use shared::{
    ledger::{ChangesSummary, JournalContents, Ledger, Run, RunSummary, RunsFolder, Verdict, read_journal},
    lifecycle::{ChangeNumber, OrderStatus, OrderStatusChanged},
    order_id::OrderId,
    wire::{self, EVENT_TYPE_HEADER, ReceivedEvent},
};
use testbed::Testbed;

/// Changes at once and up to a second later.
const FAST: &str = "share = 0.8\n\
    [payment_pending]\npaid = { weight = 1, delay = '0s', reason = 'payment_received' }\n\
    [paid]\nprocessing = { weight = 3, delay = { from = '0s', to = '300ms' }, reason = 'stock_reserved' }\n\
    cancelled = { weight = 1, delay = { mean = '100ms', max = '500ms' } }\n\
    [processing]\nshipped = { weight = 1, delay = '0s' }\n\
    [shipped]\ndelivered = { weight = 1, delay = { mean = '50ms', max = '400ms' }, reason = '문 앞' }\n\
    end = { weight = 1 }";

/// The first change of an order is due at once, the second one much later than a test lasts.
const ENDLESS: &str = "[paid]\nprocessing = { weight = 1, delay = '0s' }\n\
    [processing]\nshipped = { weight = 1, delay = '50m' }";

/// The same, but the further changes are due some seconds later.
const SLOW: &str = "[paid]\nprocessing = { weight = 1, delay = '0s' }\n\
    [processing]\nshipped = { weight = 1, delay = '3s' }\n\
    [shipped]\ndelivered = { weight = 1, delay = '500ms' }";

fn command(bed: &Testbed, lifecycle: &str, arguments: &[&str]) -> Command {
    let file = bed.folder().join("lifecycle.toml");
    std::fs::write(&file, lifecycle).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_producer"));
    // A busy machine sends late, but everything.
    command.args(["--source", "builtin", "--catch-up", "1m", "--output", "json", "--lifecycle"]).arg(file);
    command.args(arguments).envs(bed.environment()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn summary(output: &Output) -> RunSummary {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

fn ledgers(runs_dir: &Path, run: &RunSummary) -> Vec<Ledger> {
    RunsFolder { runs_dir: runs_dir.to_owned() }.read(&run.run_id).unwrap()
}

/// An event of an order in the topic.
#[derive(Clone, Debug)]
struct Record {
    partition: i32,
    offset: i64,
    timestamp: i64,
    event: ReceivedEvent,
}

impl Record {
    fn change(&self) -> Option<&OrderStatusChanged> {
        match &self.event {
            ReceivedEvent::Placed(_) => None,
            ReceivedEvent::StatusChanged(change) => Some(&change.event),
        }
    }
}

/// The records of each order, by partition and offset.
fn orders(bed: &Testbed) -> BTreeMap<OrderId, Vec<Record>> {
    let role = [("group.id", "test"), ("enable.partition.eof", "true"), ("auto.offset.reset", "earliest")];
    let client: BaseConsumer = bed.kafka.client(&role).create().unwrap();
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_range(&bed.topic.topic, 0, 8);
    partitions.set_all_offsets(Offset::Beginning).unwrap();
    client.assign(&partitions).unwrap();
    let (mut orders, mut ended) = (BTreeMap::<OrderId, Vec<Record>>::new(), 0);
    while ended < 9 {
        match client.poll(Duration::from_secs(30)).expect("the topic can be read") {
            Ok(record) => {
                let headers = record.headers().unwrap();
                let event_type = headers.iter().find(|header| header.key == EVENT_TYPE_HEADER).unwrap().value;
                // An order that is invalid on purpose.
                let Ok(event) = wire::decode(event_type, record.key(), record.payload()) else { continue };
                let id = std::str::from_utf8(record.key().unwrap()).unwrap().parse().unwrap();
                let (partition, offset) = (record.partition(), record.offset());
                let timestamp = record.timestamp().to_millis().unwrap();
                orders.entry(id).or_default().push(Record { partition, offset, timestamp, event });
            }
            Err(KafkaError::PartitionEOF(_)) => ended += 1,
            Err(error) => panic!("{error}"),
        }
    }
    orders.values_mut().for_each(|records| records.sort_by_key(|record| (record.partition, record.offset)));
    orders
}

/// Fails unless the records are the order and then its changes without a hole, each legal, in one partition. Returns the
/// changes, the first record of each.
fn history(id: OrderId, records: &[Record]) -> Vec<&OrderStatusChanged> {
    let ReceivedEvent::Placed(order) = &records[0].event else { panic!("{id} begins with {:?}", records[0]) };
    let (mut status, mut changes) = (OrderStatus::from(order.event.status), Vec::<&OrderStatusChanged>::new());
    let mut last = order.event.created_at;
    for record in &records[1..] {
        assert_eq!(record.partition, records[0].partition, "{id}: {records:?}");
        let change = record.change().unwrap_or_else(|| panic!("{id} was placed twice"));
        assert_eq!(record.timestamp, change.occurred_at.timestamp_millis());
        if let Some(repeated) = changes.iter().find(|earlier| earlier.sequence == change.sequence) {
            assert_eq!(*repeated, change, "{id}: a repeat has the same content");
            continue;
        }
        assert_eq!(change.sequence as usize, changes.len() + 1, "{id}: {records:?}");
        assert!(status.leads_to(change.status, 1) && change.occurred_at >= last, "{id}: {records:?}");
        (status, last) = (change.status, change.occurred_at);
        changes.push(change);
    }
    changes
}

/// The numbers of all changes in the topic.
fn numbers(orders: &BTreeMap<OrderId, Vec<Record>>) -> BTreeSet<u64> {
    let of_order = |(id, records): (&OrderId, &Vec<Record>)| {
        let number = |change: &OrderStatusChanged| ChangeNumber::new(id.sequence().get(), change.sequence).unwrap();
        history(*id, records).into_iter().map(|change| number(change).get()).collect::<Vec<_>>()
    };
    orders.iter().flat_map(of_order).collect()
}

fn assert_adds_up(changes: &ChangesSummary) {
    let ChangesSummary { scheduled, skipped, enqueued, acknowledged, failed, unknown, by_status, .. } = changes;
    assert_eq!((*scheduled, *enqueued), (enqueued + skipped, acknowledged + failed + unknown), "{changes:?}");
    assert_eq!(by_status.values().sum::<u64>(), *acknowledged, "{changes:?}");
}

#[tokio::test]
async fn each_order_is_followed_by_its_changes_in_its_partition_and_the_ledger_has_them() {
    let bed = Testbed::new("lifecycle").await;
    let output = command(&bed, FAST, &["--rate", "500", "--duration", "3s", "--invalid", "5%"]).output().unwrap();
    let summary = summary(&output);
    let changes = summary.changes.clone().unwrap();
    assert_adds_up(&changes);
    assert_eq!((summary.counts.acknowledged, changes.scheduled), (1_500, changes.acknowledged), "{summary:?}");
    // A busy machine may miss the rate.
    let code = if summary.verdict == Verdict::Valid { 0 } else { 3 };
    assert_eq!((output.status.code(), summary.verdict == Verdict::Lossy), (Some(code), false), "{summary:?}");
    // A change that is sent early has a negative latency.
    assert_eq!((changes.lateness_ms.count, changes.lateness_ms.clock_skew), (changes.enqueued, 0));
    assert_eq!(changes.acknowledgement_ms.count, changes.acknowledged);

    let ledger = ledgers(&bed.runs(), &summary).remove(0);
    assert_eq!(ledger.contradictions(), Vec::<String>::new());
    assert!(ledger.run.settings["lifecycle"].contains("문 앞"), "{:?}", ledger.run.settings);
    let JournalContents { invalid, changes_acknowledged, .. } = ledger.journal;
    assert!(changes_acknowledged.iter().all(|number| !invalid.contains(ChangeNumber::parts(number).0)));
    let mut orders = orders(&bed);
    orders.retain(|id, _| !invalid.contains(id.sequence().get()));
    assert_eq!(orders.len() as u64, 1_500 - invalid.len());
    assert_eq!(numbers(&orders), changes_acknowledged.iter().collect());
    let mut by_status = BTreeMap::<OrderStatus, u64>::new();
    for (id, records) in &orders {
        history(*id, records).into_iter().for_each(|change| *by_status.entry(change.status).or_default() += 1);
    }
    assert_eq!(by_status, changes.by_status);
    let going_on = orders.values().filter(|records| records.len() > 1).count();
    assert!((1_000..1_250).contains(&going_on), "{going_on} of {} orders go on", orders.len());
    let log = String::from_utf8(std::fs::read(latency_log(&ledger.run, &bed)).unwrap()).unwrap();
    for series in ["change_due_to_enqueued", "change_due_to_acknowledged"] {
        assert!(log.contains(&format!("Tag={series},")), "{series} is not in the latency log");
    }
}

fn latency_log(run: &Run, bed: &Testbed) -> PathBuf {
    bed.runs().join(run.run_id.to_string()).join(format!("producer-{}-{}.hlog", run.run_id, run.tag))
}

/// Without a schedule, orders take all places in the queue of the client that they can get.
#[tokio::test]
async fn an_unpaced_run_sends_its_changes_too() {
    let bed = Testbed::new("unpaced_lifecycle").await;
    let output = command(&bed, FAST, &["--rate", "max", "--count", "20000"]).output().unwrap();
    let summary = summary(&output);
    let changes = summary.changes.clone().unwrap();
    assert_adds_up(&changes);
    assert_eq!((summary.counts.acknowledged, summary.verdict), (20_000, Verdict::Valid), "{summary:?}");
    assert!(changes.acknowledged > 20_000 && changes.skipped == 0, "{changes:?}");
    let ledger = ledgers(&bed.runs(), &summary).remove(0);
    assert_eq!(numbers(&orders(&bed)), ledger.journal.changes_acknowledged.iter().collect());
}

/// The partition of an order is not known before its delivery report.
#[tokio::test]
async fn changes_follow_their_order_also_when_the_client_chooses_the_partition() {
    let bed = Testbed::new("client_partitions").await;
    let partitioner = ["--partitioner", "key", "--kafka-config", "partitioner=murmur2_random"];
    let arguments = [&["--rate", "300", "--count", "300"], &partitioner[..]].concat();
    let summary = summary(&command(&bed, FAST, &arguments).output().unwrap());
    let (orders, ledger) = (orders(&bed), ledgers(&bed.runs(), &summary).remove(0));
    assert_eq!((orders.len(), summary.counts.acknowledged), (300, 300));
    assert_eq!(numbers(&orders), ledger.journal.changes_acknowledged.iter().collect());
    assert!(summary.changes.unwrap().acknowledged > 200);
}

fn journal(bed: &Testbed) -> JournalContents {
    let run = std::fs::read_dir(bed.runs()).ok().and_then(|mut runs| Some(runs.next()?.ok()?.path()));
    run.and_then(|run| read_journal(&run.join("acknowledged.journal")).ok()).unwrap_or_default()
}

async fn changes_are_acknowledged(bed: &Testbed) {
    testbed::eventually("changes are acknowledged", Duration::from_secs(30), async || {
        journal(bed).changes_acknowledged.len() > 100
    })
    .await;
}

/// Most orders have a change that is due in 50 minutes.
#[tokio::test]
async fn an_interrupted_run_drops_the_changes_that_are_not_due() {
    let bed = Testbed::new("interrupted_lifecycle").await;
    for arguments in [&["--rate", "300"][..], &["--rate", "300", "--duration", "1s"]] {
        let name = ["--run-id", if arguments.len() > 2 { "after-the-schedule" } else { "within-it" }];
        let child = command(&bed, ENDLESS, &[arguments, &name].concat()).spawn().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        let path = bed.runs().join(name[1]).join("acknowledged.journal");
        testbed::eventually("changes are acknowledged", Duration::from_secs(30), async || {
            read_journal(&path).is_ok_and(|journal| journal.changes_acknowledged.len() > 200)
        })
        .await;
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        let summary = summary(&child.wait_with_output().unwrap());
        let changes = summary.changes.clone().unwrap();
        assert_adds_up(&changes);
        assert_ne!(summary.verdict, Verdict::Lossy, "{summary:?}");
        assert_eq!((changes.enqueued, summary.counts.enqueued), (changes.acknowledged, summary.counts.acknowledged));
        assert_eq!(changes.by_status.keys().collect::<Vec<_>>(), [&OrderStatus::Processing]);
        assert_eq!(ledgers(&bed.runs(), &summary)[0].contradictions(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_resumed_run_goes_on_with_the_orders_of_the_killed_producer() {
    let bed = Testbed::new("resumed_lifecycle").await;
    let arguments = ["--rate", "300", "--duration", "5s", "--run-id", "r"];
    let mut killed = command(&bed, SLOW, &arguments).spawn().unwrap();
    changes_are_acknowledged(&bed).await;
    killed.kill().unwrap();
    killed.wait().unwrap();
    let before = journal(&bed);
    assert!(before.changes_acknowledged.iter().all(|number| ChangeNumber::parts(number).1 == 1));

    let refused = command(&bed, FAST, &[&arguments[..], &["--resume"]].concat()).output().unwrap();
    let message = String::from_utf8_lossy(&refused.stderr);
    assert!(message.contains("lifecycle is another text than in run.json"), "{message}");

    let output = command(&bed, SLOW, &[&arguments[..], &["--resume"]].concat()).output().unwrap();
    let summary = summary(&output);
    assert!(summary.resumed_at.is_some());
    assert_adds_up(summary.changes.as_ref().unwrap());
    let ledger = ledgers(&bed.runs(), &summary).remove(0);
    assert_eq!(ledger.contradictions(), Vec::<String>::new());
    let (orders, acknowledged) = (orders(&bed), &ledger.journal.changes_acknowledged);
    assert!(acknowledged.iter().all(|number| numbers(&orders).contains(&number)));
    // Every order that goes on, and that was acknowledged before, was delivered.
    let of = |orders: &BTreeMap<OrderId, Vec<Record>>, number: u64| -> Option<usize> {
        let (id, records) = orders.iter().find(|(id, _)| id.sequence().get() == number)?;
        Some(history(*id, records).len())
    };
    let earlier: BTreeSet<u64> =
        before.changes_acknowledged.iter().map(|number| ChangeNumber::parts(number).0).collect();
    assert!(earlier.len() > 100);
    for number in earlier {
        assert_eq!(of(&orders, number), Some(3), "order {number}");
        assert!((1..=3).all(|sequence| acknowledged.contains(ChangeNumber::new(number, sequence).unwrap().get())));
    }
    assert_eq!(summary.changes.unwrap().skipped, 0);
}

/// Status and reason of each change, by number of the order and of the change, and its time after the order.
fn contents(orders: &BTreeMap<OrderId, Vec<Record>>) -> Vec<(u64, i32, OrderStatus, String, i64)> {
    let of_order = |(id, records): (&OrderId, &Vec<Record>)| {
        let ReceivedEvent::Placed(order) = &records[0].event else { panic!("{records:?}") };
        let (number, placed_at) = (id.sequence().get(), order.event.created_at);
        let content = |change: &OrderStatusChanged| {
            let after = (change.occurred_at - placed_at).num_microseconds().unwrap();
            (number, change.sequence, change.status, change.reason.clone(), after)
        };
        history(*id, records).into_iter().map(content).collect::<Vec<_>>()
    };
    let mut contents: Vec<_> = orders.iter().flat_map(of_order).collect();
    contents.sort_unstable_by_key(|content| (content.0, content.1));
    contents
}

#[tokio::test]
async fn shards_follow_their_own_orders_as_one_producer_does() {
    let (bed, shared) = (Testbed::new("whole_lifecycle").await, Testbed::new("shared_lifecycle").await);
    let common = ["--rate", "300", "--count", "300", "--seed", "7"];
    let whole = summary(&command(&bed, FAST, &common).output().unwrap());
    assert_eq!(whole.counts.acknowledged, 300);
    let start = (chrono::Utc::now() + Duration::from_secs(5)).to_rfc3339();
    let shards = ["1/2", "2/2"].map(|shard| {
        let shard = ["--run-id", "r", "--start-at", &start, "--shard", shard];
        command(&shared, FAST, &[&common[..], &shard].concat()).spawn().unwrap()
    });
    let summaries = shards.map(|shard| summary(&shard.wait_with_output().unwrap()));
    for ledger in ledgers(&shared.runs(), &summaries[0]) {
        assert_eq!(ledger.contradictions(), Vec::<String>::new());
    }
    let whole = contents(&orders(&bed));
    assert!(whole.len() > 200, "{}", whole.len());
    assert_eq!(contents(&orders(&shared)), whole);
}
