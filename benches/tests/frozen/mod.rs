//! Members of a group that hang while a broker and another member are killed: every partition has an owner soon after.

use std::time::Duration;

use benches::process::Program;
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rustix::process::Signal;
use shared::kafka::ensure_topic;
use testbed::Testbed;
use tokio_util::sync::CancellationToken;

use super::{
    scenario::{TIMEOUT, stored},
    stack,
};

const MEMBERS: usize = 4;
const PARTITIONS: i32 = 9;
/// From the end of the faults until an order of each partition is stored.
const MAX_WITHOUT_OWNER: Duration = Duration::from_secs(45);

/// An environment variable, for more rounds or other faults than by default.
fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

struct Members<'a> {
    bed: &'a Testbed,
    protocol: &'static str,
    running: Vec<Program>,
    started: usize,
}

impl Members<'_> {
    fn add(&mut self) {
        self.started += 1;
        let name = format!("{}-{}", self.protocol, self.started);
        let arguments = ["--group-protocol", self.protocol];
        let (environment, logs) = (self.bed.environment(), self.bed.folder());
        self.running.push(Program::start(&name, "consumer", arguments, &environment, logs).unwrap());
    }

    /// Two members hang for 1 to 11 s. Meanwhile a broker is killed, and a third member is killed or stopped. Later the
    /// broker is back, and another member takes the place of the third.
    async fn disturb(&mut self, random: &mut Xoshiro256PlusPlus) {
        let broker = format!("kafka-{}", random.random_range(1..=3));
        let is_killed = random.random_bool(0.5);
        let hangs = [(); 2].map(|()| Duration::from_millis(random.random_range(1_000..11_000)));
        let ended = self.running.remove(0);
        let hang = async |member: usize| {
            self.running[member].signal(Signal::STOP).unwrap();
            tokio::time::sleep(hangs[member]).await;
            self.running[member].signal(Signal::CONT).unwrap();
        };
        let end = async {
            let ending = tokio::task::spawn_blocking(move || if is_killed { ended.kill() } else { ended.stop() });
            ending.await.unwrap().unwrap();
        };
        let kill_broker = ["kill", &*broker];
        tokio::join!(hang(0), hang(1), stack(&kill_broker), end);
        stack(&["start", &broker]).await;
        self.add();
    }

    fn logs(&self) -> String {
        self.running.iter().map(|member| format!("{}:\n{}\n", member.name(), member.log_tail())).collect()
    }
}

async fn send(bed: &Testbed, producer: &FutureProducer, partition: i32, key: &str) -> bool {
    let record = FutureRecord::to(&bed.topic.topic).partition(partition).key(key).payload(testbed::ORDER_VALUE);
    producer.send(record, TIMEOUT).await.is_ok()
}

/// Sends orders to all partitions until `stop`. Returns how many of them the brokers acknowledged.
async fn produce(bed: &Testbed, producer: &FutureProducer, prefix: &str, stop: &CancellationToken) -> usize {
    let mut acknowledged = 0;
    for number in 0_usize.. {
        for partition in 0..PARTITIONS {
            let key = format!("{prefix}-{number}-{partition}");
            acknowledged += usize::from(send(bed, producer, partition, &key).await);
        }
        if stop.run_until_cancelled(tokio::time::sleep(Duration::from_millis(200))).await.is_none() {
            break;
        }
    }
    acknowledged
}

/// Rounds of faults with the members of one protocol; `ORDERFLOW_OWNER_ROUNDS` and `ORDERFLOW_OWNER_SEED` have their
/// number (2) and what is random in them (1).
pub async fn partitions_have_an_owner_after_faults(protocol: &'static str) {
    let bed = Testbed::new(&format!("frozen_{protocol}")).await;
    testbed::fill_cache(&bed).await;
    ensure_topic(&bed.kafka, &bed.topic.orders()).await.unwrap();
    let producer: FutureProducer = bed.kafka.client(&[("acks", "all")]).create().unwrap();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(variable("ORDERFLOW_OWNER_SEED", 1));
    let mut members = Members { bed: &bed, protocol, running: Vec::new(), started: 0 };
    (0..MEMBERS).for_each(|_| members.add());
    // A program that gets SIGTERM before it handles signals does not stop gracefully.
    let joined = async || members.running.iter().all(|member| member.log().contains("partitions assigned"));
    testbed::eventually("each member has partitions", TIMEOUT, joined).await;
    let mut acknowledged = 0;
    for round in 0..variable("ORDERFLOW_OWNER_ROUNDS", 2) {
        let stop = CancellationToken::new();
        let prefix = format!("steady-{round}");
        let faults = async {
            members.disturb(&mut random).await;
            for partition in 0..PARTITIONS {
                assert!(send(&bed, &producer, partition, &format!("last-{round}-{partition}")).await);
            }
            wait_for_all_partitions(&bed, &members, round).await;
            stop.cancel();
        };
        let (sent, ()) = tokio::join!(produce(&bed, &producer, &prefix, &stop), faults);
        acknowledged += sent + PARTITIONS as usize;
        members.running.iter_mut().try_for_each(Program::ensure_running).unwrap();
    }
    testbed::eventually("all orders are stored", TIMEOUT, async || stored(&bed).await >= acknowledged as i64).await;
}

/// Waits until the last orders of the round, one of each partition, are stored.
async fn wait_for_all_partitions(bed: &Testbed, members: &Members<'_>, round: u64) {
    let sql = bed.sql().await;
    let of_round = format!("SELECT order_id FROM orders WHERE order_id LIKE 'last-{round}-%' ORDER BY 1");
    let last_orders =
        async || -> Vec<String> { sql.query(&of_round, &[]).await.unwrap().iter().map(|row| row.get(0)).collect() };
    let all = testbed::eventually("each partition is read", TIMEOUT * 4, async || {
        last_orders().await.len() == PARTITIONS as usize
    });
    if tokio::time::timeout(MAX_WITHOUT_OWNER, all).await.is_err() {
        panic!(
            "round {round}: only {:?} are stored after {MAX_WITHOUT_OWNER:?}\n{}",
            last_orders().await,
            members.logs()
        );
    }
}
