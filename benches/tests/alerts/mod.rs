//! Each alert fires at a fault that is real, on a Prometheus with the rules as they are shipped, and not before it. Their
//! conditions hold for minutes before they fire, so all faults happen at the same time, to pipelines of their own.

mod watched;

use std::{collections::BTreeSet, time::Duration};

use benches::process::Program;
use rdkafka::{
    Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    producer::{FutureProducer, FutureRecord},
};
use redis::AsyncCommands;
use shared::kafka::ensure_topic;
use testbed::{Proxy, Testbed, eventually};
use tokio::{task::spawn_blocking, time::sleep};
use watched::{Alerts, Watched};

use super::{
    injector::test_stack,
    scenario::{TIMEOUT, stored, wait_until_stored},
};

const MINUTE: Duration = Duration::from_secs(60);

fn admin(bed: &Testbed) -> AdminClient<DefaultClientContext> {
    bed.kafka.client(&[]).create().unwrap()
}

/// Creates a topic of nine partitions with one setting.
async fn create_topic(bed: &Testbed, name: &str, setting: (&str, &str)) {
    let topic = NewTopic::new(name, 9, TopicReplication::Fixed(3)).set(setting.0, setting.1);
    admin(bed).create_topics([&topic], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
}

async fn send(bed: &Testbed, partition: i32, key: &str, value: &str) {
    let producer: FutureProducer = bed.kafka.client(&[("acks", "all")]).create().unwrap();
    let record = FutureRecord::to(&bed.topic.topic).partition(partition).key(key).payload(value);
    producer.send(record, TIMEOUT).await.unwrap();
}

/// The topics, a cache-worker, two consumers, and a producer that sends until it is stopped.
async fn pipeline(watched: &mut Watched, consumer: &[&str], producer: &[&str]) {
    ensure_topic(&watched.bed.kafka, &watched.bed.topic.orders()).await.unwrap();
    ensure_topic(&watched.bed.kafka, &watched.bed.topic.dead_letters()).await.unwrap();
    watched.start("cache-worker", "cache-worker", &[]).await;
    for name in ["consumer-1", "consumer-2"] {
        watched.start(name, "consumer", consumer).await;
    }
    watched.start("producer", "producer", &[&["--catch-up", "1m"], producer].concat()).await;
    watched.expect_health().await;
}

/// A session locks the table for minutes. The topic keeps its records for four.
async fn locked_table() -> Alerts {
    let mut watched = Watched::new("alerts_locked").await;
    create_topic(&watched.bed, &watched.bed.topic.topic, ("retention.ms", "240000")).await;
    pipeline(&mut watched, &[], &["--rate", "150"]).await;
    let locking = watched.bed.sql().await;
    locking.batch_execute("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let page = ["OrdersNotStored", "ConsumerWithoutProgress", "LagOutlastsRetention"];
    watched.expect_alerts(&page, 5 * MINUTE).await;
    watched.expect_alerts(&["LagGrows", "ProgramNotReady"], 9 * MINUTE).await;
    locking.batch_execute("ROLLBACK").await.unwrap();
    watched.expect_end_of(&page).await;
    watched.end().await
}

/// Redis loses its users and products, and no cache-worker runs. Later a consumer is gone, too: not before its end is
/// there a quarter of an hour to compare with.
async fn empty_cache_and_a_consumer_less() -> Alerts {
    let mut watched = Watched::new("alerts_cache").await;
    pipeline(&mut watched, &["--cache-ttl", "1s"], &["--rate", "50"]).await;
    let quarter = sleep(14 * MINUTE);
    watched.remove("cache-worker").await;
    let keys = watched.bed.keys();
    let () = watched.bed.redis().await.del(&[keys.users, keys.products]).await.unwrap();
    watched.expect_alerts(&["ProgramDown", "CacheStale"], 5 * MINUTE).await;
    watched.expect_alerts(&["LookupsMissCache"], 13 * MINUTE).await;
    quarter.await;
    watched.remove("consumer-2").await;
    watched.expect_alerts(&["InstancesGone"], 5 * MINUTE).await;
    watched.end().await
}

/// Orders that are wrong, a dead-letter topic that refuses large records, records that are deleted before they are read,
/// and consumers that are killed again and again, and at last for good.
async fn bad_records_and_killed_consumers() -> Alerts {
    let mut watched = Watched::new("alerts_records").await;
    create_topic(&watched.bed, &watched.bed.topic.dead_letter_topic(), ("max.message.bytes", "2000")).await;
    pipeline(&mut watched, &["--on-offset-out-of-range", "continue"], &["--rate", "50"]).await;
    let malformed: String = (0..500).map(|_| format!("{:x}", rand::random::<u128>())).collect();
    send(&watched.bed, 0, "malformed", &malformed).await;
    watched.expect_alerts(&["DeadLettersGrow", "DeadLettersReduced"], 2 * MINUTE).await;

    watched.kill("consumer-2").await;
    watched.kill("consumer-1").await;
    send(&watched.bed, 0, "deleted", testbed::ORDER_VALUE).await;
    let mut deleted = TopicPartitionList::new();
    deleted.add_partition_offset(&watched.bed.topic.topic, 0, Offset::End).unwrap();
    admin(&watched.bed).delete_records(&deleted, &AdminOptions::new()).await.unwrap();
    watched.start_again("consumer-1").await;
    watched.expect_alerts(&["RecordsDeletedUnread"], 2 * MINUTE).await;

    for _ in 0..2 {
        watched.kill("consumer-1").await;
        watched.start_again("consumer-1").await;
        watched.wait_for_scrape("consumer-1").await;
    }
    watched.expect_alerts(&["ProgramRestarts"], MINUTE).await;
    watched.kill("consumer-1").await;
    watched.expect_alerts(&["NoConsumer", "ProgramDown"], 3 * MINUTE).await;
    watched.end().await
}

/// The network between the programs and one broker is down, then that to all brokers, while orders wait for 10 s at most.
async fn unreachable_brokers() -> Alerts {
    let mut watched = Watched::new("alerts_network").await;
    let settings = test_stack().environment(Some("--proxied")).await.unwrap();
    let setting = |name: &str| settings.iter().find(|(known, _)| known == name).unwrap().1.clone().unwrap();
    let (brokers, listeners) = (setting("KAFKA_BROKERS"), setting("KAFKA_PROXIED_LISTENERS"));
    let mut proxies = Vec::new();
    for (address, listener) in brokers.split(',').zip(listeners.split(',')) {
        proxies.push(Proxy::at(address.parse().unwrap(), listener.parse().unwrap()).await);
    }
    watched.environment.push(("KAFKA_BROKERS".to_owned(), brokers));
    let limits = ["--kafka-config", "message.timeout.ms=10000", "--kafka-config", "queue.buffering.max.messages=1000"];
    pipeline(&mut watched, &[], &[&["--rate", "200"], &limits[..]].concat()).await;
    let break_link = |proxy: &Proxy| {
        proxy.stall();
        proxy.cut();
    };
    break_link(&proxies[1]);
    watched.expect_alerts(&["BrokerUnreachable", "OrdersFailed"], 4 * MINUTE).await;
    proxies.iter().for_each(break_link);
    watched.expect_alerts(&["OrdersNotAcknowledged", "ProducerMissesRate"], 5 * MINUTE).await;
    proxies.iter().for_each(Proxy::resume);
    watched.expect_end_of(&["BrokerUnreachable", "OrdersNotAcknowledged", "ProducerMissesRate"]).await;
    watched.end().await
}

/// The leader of the group is a client that does not know of a partition that was added, and so assigns it to nobody,
/// however often the consumers join the group anew.
async fn leader_that_misses_a_partition() -> Alerts {
    let mut watched = Watched::new("alerts_leader").await;
    let bed = &watched.bed;
    ensure_topic(&bed.kafka, &bed.topic.orders()).await.unwrap();
    ensure_topic(&bed.kafka, &bed.topic.dead_letters()).await.unwrap();
    let leader = foreign_leader(bed);
    let group: BaseConsumer = bed.kafka.client(&[]).create().unwrap();
    // The coordinator may be loading its groups still.
    let members = || {
        let groups = group.fetch_group_list(Some(&bed.name), TIMEOUT);
        groups.map_or(0, |list| list.groups().iter().map(|group| group.members().len()).sum())
    };
    eventually("the leader has joined", TIMEOUT, async || members() == 1).await;
    watched.start("consumer-1", "consumer", &[]).await;
    let bed = &watched.bed;
    let partitions = NewPartitions::new(&bed.topic.topic, 10);
    admin(bed).create_partitions([&partitions], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    eventually("the partition is there", TIMEOUT, async || {
        group.fetch_metadata(Some(&bed.topic.topic), TIMEOUT).unwrap().topics()[0].partitions().len() == 10
    })
    .await;
    send(bed, 9, "of-nobody", testbed::ORDER_VALUE).await;
    watched.expect_alerts(&["PartitionWithoutOwner"], 6 * MINUTE).await;
    assert_eq!(stored(&watched.bed).await, 0);
    spawn_blocking(move || leader.kill()).await.unwrap().unwrap();
    wait_until_stored(&watched.bed, 1).await;
    watched.expect_end_of(&["PartitionWithoutOwner"]).await;
    watched.end().await
}

/// A member of the group, of Kafka's own Java client, that asks for metadata once an hour.
fn foreign_leader(bed: &Testbed) -> Program {
    let mut command = test_stack().command(&["kafka-tool", "kafka-console-consumer"]);
    command.args(["--topic", &bed.topic.topic, "--group", &bed.name]);
    for property in [
        "metadata.max.age.ms=3600000",
        "partition.assignment.strategy=org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
    ] {
        command.args(["--consumer-property", property]);
    }
    Program::spawn("leader", command, bed.folder()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "20 minutes: run by deploy/test --long"]
async fn each_alert_fires_at_a_real_fault_and_not_before_it() {
    let faults = tokio::join!(
        locked_table(),
        empty_cache_and_a_consumer_less(),
        bad_records_and_killed_consumers(),
        unreachable_brokers(),
        leader_that_misses_a_partition(),
    );
    let seen = <[Alerts; 5]>::from(faults);
    let fired: BTreeSet<String> = seen.iter().flat_map(|alerts| alerts.fired.clone()).collect();
    assert_eq!(fired, seen[0].all);
}
