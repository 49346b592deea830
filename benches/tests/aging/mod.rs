//! The cache-worker as a program: it is killed at any point of a round, and its rounds change the enrichment of orders.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use benches::process::Program;
use chrono::{DateTime, Utc};
use rand::RngExt;
use rdkafka::producer::{FutureProducer, FutureRecord};
use redis::AsyncCommands;
use shared::kafka::ensure_topic;
use testbed::{Testbed, eventually};

use super::scenario::{TIMEOUT, stored, wait_until_stored};

/// Result of polling the cache continuously. Times are in microseconds.
#[derive(Default)]
struct Observed {
    /// The users in the cache after each swap, by the time of the swap.
    swaps: BTreeMap<i64, HashSet<String>>,
    /// Pauses longer than [`MAX_POLL_PAUSE`].
    pauses: Vec<(i64, i64)>,
    last_poll: i64,
}

/// A longer pause between two polls may hide a whole round.
const MAX_POLL_PAUSE: i64 = 20_000;

fn worker(bed: &Testbed, number: usize) -> Program {
    let arguments = ["--interval", "100ms"];
    Program::start(&format!("worker-{number}"), "cache-worker", arguments, &bed.environment(), bed.folder()).unwrap()
}

/// Polls until `done`. From the first swap on, both hashes must always be complete.
async fn watch(bed: &Testbed, observed: &Mutex<Observed>, done: &AtomicBool) {
    let (mut redis, keys) = (bed.redis().await, bed.keys());
    observed.lock().unwrap().last_poll = Utc::now().timestamp_micros();
    while !done.load(Ordering::Relaxed) {
        let mut moment = redis::pipe();
        moment.atomic().get(&keys.refreshed_at).hkeys(&keys.users).hlen(&keys.products);
        let (at, users, products): (Option<String>, HashSet<String>, usize) =
            moment.query_async(&mut redis).await.unwrap();
        let now = Utc::now().timestamp_micros();
        let mut observed = observed.lock().unwrap();
        let pause = (std::mem::replace(&mut observed.last_poll, now), now);
        if pause.1 - pause.0 > MAX_POLL_PAUSE {
            observed.pauses.push(pause);
        }
        let Some(at) = at else { continue };
        assert!(users.len() == 1_000 && products == 1_000, "{} users and {products} products", users.len());
        let at = at.parse::<DateTime<Utc>>().unwrap().timestamp_micros();
        observed.swaps.insert(at, users);
    }
}

/// The point of a round at which an instance is killed.
#[derive(Clone, Copy, Debug)]
enum KillPoint {
    /// After staging, before the swap.
    Staged,
    /// After the swap, before the rows are marked and committed.
    Swapped,
    /// After the commit.
    Committed,
    /// Anywhere, or right after the round.
    Anywhere,
}

const KILL_POINTS: [KillPoint; 4] = [KillPoint::Staged, KillPoint::Swapped, KillPoint::Committed, KillPoint::Anywhere];

/// Waits until the next round is at `point`, and returns the keys that it has staged.
async fn wait_for_kill_point(point: KillPoint, bed: &Testbed) -> HashSet<String> {
    let (mut redis, keys) = (bed.redis().await, bed.keys());
    if let KillPoint::Committed = point {
        let sql = bed.sql().await;
        let epoch = async || sql.query_one("SELECT epoch FROM cache_rounds", &[]).await.unwrap().get::<_, i64>(0);
        let before = epoch().await;
        while epoch().await == before {}
        return HashSet::new();
    }
    if let KillPoint::Swapped = point {
        let before: Option<String> = redis.get(&keys.refreshed_at).await.unwrap();
        while redis.get::<_, Option<String>>(&keys.refreshed_at).await.unwrap() == before {}
        return HashSet::new();
    }
    // Instances that were killed before have left staging keys.
    let pattern = format!("{}:*", keys.staging_users);
    let before: HashSet<String> = redis.keys(&pattern).await.unwrap();
    let mut staged = HashSet::new();
    while staged.is_empty() {
        let all: HashSet<String> = redis.keys(&pattern).await.unwrap();
        staged = &all - &before;
    }
    if let KillPoint::Anywhere = point {
        let pause = rand::rng().random_range(0..60);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    staged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn instances_killed_in_twenty_rounds_mark_no_row_that_was_not_cached_and_standbys_continue() {
    kill_in_rounds(20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
#[ignore = "some minutes: run by deploy/test --long"]
async fn instances_killed_in_two_hundred_rounds_mark_no_row_that_was_not_cached_and_standbys_continue() {
    kill_in_rounds(200).await;
}

/// Kills an instance in each of `kills` rounds, while its standby waits.
async fn kill_in_rounds(kills: usize) {
    let bed = Arc::new(Testbed::new("killed_rounds").await);
    let (watched, done) = (Arc::new(Mutex::new(Observed::default())), Arc::new(AtomicBool::new(false)));
    let watching = tokio::spawn({
        let (bed, watched, done) = (bed.clone(), watched.clone(), done.clone());
        async move { watch(&bed, &watched, &done).await }
    });
    let sql = bed.sql().await;
    let marked = "SELECT user_id, (extract(epoch FROM last_cached_at) * 1000000)::bigint FROM users \
                  WHERE last_cached_at IS NOT NULL";
    let (mut rounds, mut unseen, mut before_swap) = (HashSet::new(), HashSet::new(), 0);
    let mut working = worker(&bed, 0);
    for kill in 1..=kills {
        let standby = worker(&bed, kill);
        let point = KILL_POINTS[kill % KILL_POINTS.len()];
        let staged = tokio::time::timeout(TIMEOUT, wait_for_kill_point(point, &bed)).await.expect("rounds continue");
        std::mem::replace(&mut working, standby).kill().unwrap();
        // The swap renames the staging keys.
        let left: usize = bed.redis().await.exists(staged.iter().collect::<Vec<_>>()).await.unwrap_or(0);
        before_swap += usize::from(left > 0);
        let rows = sql.query(marked, &[]).await.unwrap();
        let queried_at = Utc::now().timestamp_micros();
        eventually("the cache was polled after the query", TIMEOUT, async || {
            watched.lock().unwrap().last_poll > queried_at
        })
        .await;
        for row in rows {
            let (id, at): (String, i64) = (row.get(0), row.get(1));
            rounds.insert(at);
            let watched = watched.lock().unwrap();
            let was_cached = match watched.swaps.get(&at) {
                Some(cached) => cached.contains(&id),
                None => {
                    unseen.insert(at);
                    watched.pauses.iter().any(|(from, to)| *from < at + 1_000_000 && *to > at)
                }
            };
            assert!(was_cached, "{id} was marked after kill {kill} ({point:?}) and was not cached");
        }
    }
    let last = || *watched.lock().unwrap().swaps.keys().last().unwrap();
    let then = last();
    let continues = async || last() > then + 1_000_000;
    eventually("the last standby runs rounds", TIMEOUT, continues).await;
    done.store(true, Ordering::Relaxed);
    watching.await.unwrap();
    let watched = watched.lock().unwrap();
    let unmarked = watched.swaps.keys().filter(|swap| !rounds.contains(*swap)).count();
    // The kills must hit all three: before the swap, after the swap, and after the commit.
    let (marked, enough) = (rounds.len(), kills / 10);
    assert!(
        marked > enough && unmarked > enough && before_swap > enough,
        "{marked} marked, {unmarked} not, {before_swap} not swapped"
    );
    assert!(unseen.len() < marked / 4, "{} of {marked} rounds were not observed", unseen.len());
    working.stop().unwrap();
}

/// The orders have the change after the next round, once the consumer's cached lookup has expired, and keep it.
#[tokio::test]
async fn orders_have_the_new_region_and_age_of_a_user_after_the_next_round() {
    let bed = Testbed::new("change_seen").await;
    ensure_topic(&bed.kafka, &bed.topic.orders()).await.unwrap();
    let producer: FutureProducer = bed.kafka.client(&[("acks", "all")]).create().unwrap();
    let environment = bed.environment();
    // An interval longer than the test: only `--once` runs a round.
    let rounds = ["--interval", "1h"];
    let worker = Program::start("cache-worker", "cache-worker", rounds, &environment, bed.folder()).unwrap();
    let cache_ttl = ["--cache-ttl", "1s"];
    let consumer = Program::start("consumer", "consumer", cache_ttl, &environment, bed.folder()).unwrap();
    let user = || async {
        let json: Option<String> = bed.redis().await.hget(bed.keys().users, "U00000001").await.unwrap();
        json
    };
    eventually("the user is in the cache", TIMEOUT, async || user().await.is_some()).await;
    let sql = bed.sql().await;
    let order = async |number: i64| {
        let key = format!("order-{number}");
        let record = FutureRecord::to(&bed.topic.topic).key(&key).payload(testbed::ORDER_VALUE);
        producer.send_result(record).unwrap().await.unwrap().unwrap();
        wait_until_stored(&bed, number).await;
        let stored = "SELECT user_region, user_age_group FROM orders WHERE order_id = $1";
        let row = sql.query_one(stored, &[&key]).await.unwrap();
        (row.get::<_, String>(0), row.get::<_, String>(1))
    };
    let before = order(1).await;
    let change = "UPDATE users SET region = '독도', age = 77, age_group = '70대' WHERE user_id = 'U00000001'";
    sql.batch_execute(change).await.unwrap();
    assert_eq!(order(2).await, before, "no round has run yet");

    let after = ("독도".to_owned(), "70대".to_owned());
    let round = Program::start("round", "cache-worker", ["--once"], &environment, bed.folder()).unwrap();
    round.wait_for_success().unwrap();
    // The user may not be in the new cache: then the consumer reads the table.
    let fresh = async || user().await.is_none_or(|json| json.contains("독도"));
    assert!(fresh().await, "no old user is in the cache after the round");
    let mut number = 2;
    let seen = async || {
        number += 1;
        order(number).await == after
    };
    // Well below the default of --cache-ttl.
    eventually("the change is in the orders", Duration::from_secs(10), seen).await;
    let next = stored(&bed).await + 1;
    assert_eq!(order(next).await, after, "the change stays");
    consumer.stop().unwrap();
    worker.stop().unwrap();
}
