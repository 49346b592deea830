//! Offsets without a record that can be read: records that were deleted before they were read, aborted transactions,
//! groups without offsets.

use std::{ops::Range, time::Duration};

use benches::{
    metrics,
    process::{Program, free_address},
};
use rdkafka::{
    Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewPartitions},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    producer::{FutureProducer, FutureRecord, Producer},
};
use shared::kafka::{ensure_topic, group_lag};
use testbed::{Testbed, eventually};

use super::scenario::{TIMEOUT, stored, wait_until_stored};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const CONTINUE: [&str; 2] = ["--on-offset-out-of-range", "continue"];

async fn bed(test: &str) -> Testbed {
    let bed = Testbed::new(test).await;
    ensure_topic(&bed.kafka, &bed.topic.orders()).await.unwrap();
    bed
}

/// Sends orders to partition 0.
async fn send(bed: &Testbed, producer: &FutureProducer, numbers: Range<u32>) {
    let sending = numbers.map(|n| {
        let key = format!("order-{n:05}");
        let record = FutureRecord::to(&bed.topic.topic).partition(0).key(&key).payload(testbed::ORDER_VALUE);
        producer.send_result(record).unwrap()
    });
    for sent in sending.collect::<Vec<_>>() {
        sent.await.unwrap().unwrap();
    }
}

fn producer(bed: &Testbed, settings: &[(&str, &str)]) -> FutureProducer {
    bed.kafka.client(settings).create().unwrap()
}

/// Deletes the records of partition 0 below `offset`.
async fn delete_records(bed: &Testbed, offset: i64) {
    let admin: AdminClient<DefaultClientContext> = bed.kafka.client(&[]).create().unwrap();
    let mut deleted = TopicPartitionList::new();
    deleted.add_partition_offset(&bed.topic.topic, 0, Offset::Offset(offset)).unwrap();
    let answer = admin.delete_records(&deleted, &AdminOptions::new()).await.unwrap();
    answer.elements()[0].error().unwrap();
}

fn start(bed: &Testbed, arguments: &[&str]) -> (Program, std::net::SocketAddr) {
    let address = free_address().unwrap();
    let listen = address.to_string();
    let arguments = arguments.iter().copied().chain(["--listen", &listen]);
    (Program::start("consumer", "consumer", arguments, &bed.environment(), bed.folder()).unwrap(), address)
}

async fn wait_for_log(consumer: &Program, text: &str) {
    let waiting = eventually("the text is logged", TIMEOUT * 2, async || consumer.log().contains(text));
    assert!(tokio::time::timeout(TIMEOUT, waiting).await.is_ok(), "{text:?} is not in:\n{}", consumer.log());
}

async fn exit_with_1(mut consumer: Program) -> String {
    let (status, log) = tokio::task::spawn_blocking(move || (consumer.wait(TIMEOUT), consumer.log())).await.unwrap();
    assert_eq!(status.unwrap().code(), Some(1), "{log}");
    log
}

async fn stop(consumer: Program) {
    tokio::task::spawn_blocking(move || consumer.stop()).await.unwrap().unwrap();
}

/// The lag of the group in all partitions. A partition without a committed offset counts from its beginning.
async fn lag(bed: &Testbed) -> i64 {
    let (kafka, topic, group) = (bed.kafka.clone(), bed.topic.topic.clone(), bed.name.clone());
    tokio::task::spawn_blocking(move || group_lag(&kafka, &topic, &group).unwrap().total()).await.unwrap()
}

/// A consumer that can't store its records reads up to the size of its queue. Meanwhile, all of the 4,000 first records
/// are deleted, those that it has read included. Returns the consumer once it has stored what it had read.
async fn consumer_with_deleted_records(bed: &Testbed, arguments: &[&str]) -> (Program, std::net::SocketAddr) {
    let producer = producer(bed, &[("acks", "all")]);
    send(bed, &producer, 0..1).await;
    let arguments = [&["--queue-size", "1"], arguments].concat();
    let (consumer, address) = start(bed, &arguments);
    wait_until_stored(bed, 1).await;
    let sql = bed.sql().await;
    sql.batch_execute("BEGIN; LOCK TABLE orders IN SHARE MODE").await.unwrap();
    send(bed, &producer, 1..5_000).await;
    wait_for_log(&consumer, "paused until PostgreSQL accepts rows").await;
    delete_records(bed, 4_000).await;
    sql.batch_execute("COMMIT").await.unwrap();
    (consumer, address)
}

/// The number of records that the log says were deleted unread, and the offset that was expected.
fn reported_gap(log: &str, expected: &str) -> (i64, i64) {
    let line = log.lines().find(|line| line.contains("partition 0 begins at offset 4000, but"));
    let line = line.unwrap_or_else(|| panic!("the gap is not in:\n{log}"));
    let (_, rest) = line.split_once(expected).unwrap_or_else(|| panic!("{expected:?} is not in {line}"));
    let (offset, rest) = rest.split_once(": ").unwrap();
    let (deleted, _) = rest.split_once(" records were deleted before they were read").unwrap();
    (deleted.parse().unwrap(), offset.parse().unwrap())
}

#[tokio::test]
async fn records_deleted_while_their_partition_is_assigned_end_the_consumer_which_stores_first_what_it_has_read() {
    let bed = bed("deleted_assigned").await;
    let (consumer, _) = consumer_with_deleted_records(&bed, &[]).await;
    let log = exit_with_1(consumer).await;
    let (deleted, read_to) = reported_gap(&log, "this instance has read it up to ");
    assert!(read_to > 1 && deleted + read_to == 4_000, "{deleted} of {read_to}");
    assert_eq!(stored(&bed).await, read_to, "what was read is stored: the topic does not have it any more");

    // The gap is not committed: the next start reports it again.
    let log = exit_with_1(start(&bed, &[]).0).await;
    assert_eq!(reported_gap(&log, "the group has committed "), (deleted, read_to));
    let (consumer, address) = start(&bed, &CONTINUE);
    wait_until_stored(&bed, read_to + 1_000).await;
    let counted = metrics::value(address, consumer::metrics::DELETED_UNREAD).await.unwrap();
    assert_eq!((counted as i64, stored(&bed).await), (deleted, read_to + 1_000));
    stop(consumer).await;
}

#[tokio::test]
async fn records_deleted_while_their_partition_is_assigned_are_counted_by_a_consumer_that_is_to_continue() {
    let bed = bed("deleted_continue").await;
    let (consumer, address) = consumer_with_deleted_records(&bed, &CONTINUE).await;
    wait_for_log(&consumer, "continuing at the first offset of the partition").await;
    let (deleted, read_to) = reported_gap(&consumer.log(), "this instance has read it up to ");
    eventually("the lag is 0", TIMEOUT, async || lag(&bed).await == 0).await;
    let counted = metrics::value(address, consumer::metrics::DELETED_UNREAD).await.unwrap();
    assert_eq!((counted as i64, deleted + read_to), (deleted, 4_000));
    assert_eq!(stored(&bed).await, read_to + 1_000);
    stop(consumer).await;
}

#[tokio::test]
async fn a_group_without_offsets_starts_at_the_beginning_and_says_what_it_cannot_know() {
    let bed = bed("without_offsets").await;
    let producer = producer(&bed, &[("acks", "all")]);
    send(&bed, &producer, 0..20).await;
    delete_records(&bed, 12).await;
    let (consumer, address) = start(&bed, &[]);
    wait_until_stored(&bed, 8).await;
    wait_for_log(&consumer, "has no committed offset and starts at the first one, 12").await;
    let counted = metrics::value(address, consumer::metrics::DELETED_BEFORE_START).await.unwrap();
    let unread = metrics::value(address, consumer::metrics::DELETED_UNREAD).await.unwrap();
    assert_eq!((counted, unread), (12.0, 0.0));

    // Records that are deleted while no instance runs are noticed in the empty partitions too.
    let client: BaseConsumer = bed.kafka.client(&[("group.id", &bed.name)]).create().unwrap();
    let committed = async || {
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_range(&bed.topic.topic, 0, 8);
        let committed = client.committed_offsets(partitions, REQUEST_TIMEOUT).unwrap();
        committed.elements().iter().filter(|place| matches!(place.offset(), Offset::Offset(_))).count()
    };
    eventually("each partition has a committed offset", TIMEOUT, async || committed().await == 9).await;
    stop(consumer).await;
}

#[tokio::test]
async fn an_aborted_transaction_is_progress() {
    let bed = bed("aborted").await;
    let (consumer, address) = start(&bed, &["--stuck-after", "2s"]);
    let sending = producer(&bed, &[("acks", "all"), ("transactional.id", &bed.name)]);
    let transactions = sending.clone();
    tokio::task::spawn_blocking(move || transactions.init_transactions(REQUEST_TIMEOUT)).await.unwrap().unwrap();
    for (numbers, is_committed) in [(0..10, true), (10..20, false), (20..30, false)] {
        sending.begin_transaction().unwrap();
        send(&bed, &sending, numbers).await;
        let transactions = sending.clone();
        let ending = tokio::task::spawn_blocking(move || match is_committed {
            true => transactions.commit_transaction(REQUEST_TIMEOUT),
            false => transactions.abort_transaction(REQUEST_TIMEOUT),
        });
        ending.await.unwrap().unwrap();
        wait_until_stored(&bed, 10).await;
        eventually("the lag is 0", TIMEOUT, async || lag(&bed).await == 0).await;
    }
    let own_lag = async || metrics::value(address, consumer::metrics::LAG).await.unwrap();
    eventually("the consumer's lag is 0", TIMEOUT, async || own_lag().await == 0.0).await;
    assert_eq!(stored(&bed).await, 10);
    stop(consumer).await;
}

/// The members of a classic group learn of new partitions minutes later, and nobody owns these until then.
#[tokio::test]
async fn a_partition_without_an_owner_is_reported_and_gets_one() {
    let bed = bed("without_owner").await;
    let (consumer, address) = start(&bed, &[]);
    wait_for_log(&consumer, "partitions assigned").await;
    let admin: AdminClient<DefaultClientContext> = bed.kafka.client(&[]).create().unwrap();
    admin.create_partitions(&[NewPartitions::new(&bed.topic.topic, 10)], &AdminOptions::new()).await.unwrap();
    // A broker may tell a new producer the old number of partitions, which is then valid for five minutes by default.
    let producer = producer(&bed, &[("acks", "all"), ("topic.metadata.refresh.interval.ms", "500")]);
    let send = async || {
        let record = FutureRecord::to(&bed.topic.topic).partition(9).key("new").payload(testbed::ORDER_VALUE);
        producer.send(record, REQUEST_TIMEOUT).await.is_ok()
    };
    eventually("the new partition accepts a record", TIMEOUT, send).await;
    wait_for_log(&consumer, "partitions [9] have no owner").await;
    wait_until_stored(&bed, 1).await;
    let abandoned = async || metrics::value(address, consumer::metrics::ABANDONED).await.unwrap();
    eventually("no partition is abandoned", TIMEOUT, async || abandoned().await == 0.0).await;
    assert_eq!(consumer.log().matches("this instance leaves and joins anew").count(), 1, "{}", consumer.log());
    assert!(metrics::is_ready(address).await);
    stop(consumer).await;
}
