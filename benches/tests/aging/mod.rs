//! The cache-worker as a program: killed at any point of its rounds, and what its rounds bring into the orders.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use benches::programs::Program;
use chrono::{DateTime, Utc};
use rand::RngExt;
use rdkafka::producer::{FutureProducer, FutureRecord};
use redis::AsyncCommands;
use shared::kafka::ensure_topic;
use testbed::{Testbed, eventually};

use super::{
    PATIENCE,
    scenario::{stored, wait_until_stored},
};

/// Rounds in which a worker is killed.
const KILLS: usize = 200;

/// What somebody saw who looks at the cache without a pause. Times are in microseconds.
#[derive(Default)]
struct Seen {
    /// All that was in the cache, by the time of the swap.
    swaps: BTreeMap<i64, HashSet<String>>,
    /// When the machine was too busy to look.
    gaps: Vec<(i64, i64)>,
    last_look: i64,
}

/// Time between two looks in which a whole round may go by unseen.
const GAP: i64 = 20_000;

fn worker(bed: &Testbed, number: usize) -> Program {
    let arguments = ["--interval", "100ms"];
    Program::start(&format!("worker-{number}"), "cache-worker", arguments, &bed.environment(), bed.folder()).unwrap()
}

/// From the first swap on, both hashes are there, always.
async fn watch(bed: &Testbed, seen: &Mutex<Seen>, done: &AtomicBool) {
    let (mut redis, keys) = (bed.redis().await, bed.keys());
    seen.lock().unwrap().last_look = Utc::now().timestamp_micros();
    while !done.load(Ordering::Relaxed) {
        let mut moment = redis::pipe();
        moment.atomic().get(&keys.refreshed_at).hkeys(&keys.users).hlen(&keys.products);
        let (at, users, products): (Option<String>, HashSet<String>, usize) =
            moment.query_async(&mut redis).await.unwrap();
        let look = Utc::now().timestamp_micros();
        let mut seen = seen.lock().unwrap();
        let gap = (std::mem::replace(&mut seen.last_look, look), look);
        if gap.1 - gap.0 > GAP {
            seen.gaps.push(gap);
        }
        let Some(at) = at else { continue };
        assert!(users.len() == 1_000 && products == 1_000, "{} users and {products} products", users.len());
        let at = at.parse::<DateTime<Utc>>().unwrap().timestamp_micros();
        seen.swaps.insert(at, users);
    }
}

/// Where in its round a worker dies.
#[derive(Clone, Copy, Debug)]
enum Point {
    /// Before the swap.
    Staged,
    /// Before the mark and the commit.
    Swapped,
    /// In any of it, or right after.
    Anywhere,
}

/// Waits for the next round to get that far, and gives the keys that it has staged so far.
async fn wait_for(point: Point, bed: &Testbed) -> HashSet<String> {
    let (mut redis, keys) = (bed.redis().await, bed.keys());
    if let Point::Swapped = point {
        let before: Option<String> = redis.get(&keys.refreshed_at).await.unwrap();
        while redis.get::<_, Option<String>>(&keys.refreshed_at).await.unwrap() == before {}
        return HashSet::new();
    }
    // Those who died before have left theirs.
    let pattern = format!("{}:*", keys.staging_users);
    let before: HashSet<String> = redis.keys(&pattern).await.unwrap();
    let mut staged = HashSet::new();
    while staged.is_empty() {
        let all: HashSet<String> = redis.keys(&pattern).await.unwrap();
        staged = &all - &before;
    }
    if let Point::Anywhere = point {
        let pause = rand::rng().random_range(0..60);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    staged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn workers_killed_in_two_hundred_rounds_mark_nothing_that_was_not_cached_and_others_go_on() {
    let bed = Arc::new(Testbed::new("killed_rounds").await);
    let (watched, done) = (Arc::new(Mutex::new(Seen::default())), Arc::new(AtomicBool::new(false)));
    let watching = tokio::spawn({
        let (bed, watched, done) = (bed.clone(), watched.clone(), done.clone());
        async move { watch(&bed, &watched, &done).await }
    });
    let sql = bed.sql().await;
    let marked = "SELECT user_id, (extract(epoch FROM last_cached_at) * 1000000)::bigint FROM users WHERE last_cached_at IS NOT NULL";
    let (mut rounds, mut unseen, mut before_swap) = (HashSet::new(), HashSet::new(), 0);
    let mut working = worker(&bed, 0);
    for kill in 1..=KILLS {
        let standby = worker(&bed, kill);
        let point = [Point::Staged, Point::Swapped, Point::Anywhere][kill % 3];
        let staged = tokio::time::timeout(PATIENCE, wait_for(point, &bed)).await.expect("rounds go on");
        std::mem::replace(&mut working, standby).kill().unwrap();
        // What is swapped in is no longer staged.
        let left: usize = bed.redis().await.exists(staged.iter().collect::<Vec<_>>()).await.unwrap_or(0);
        before_swap += usize::from(left > 0);
        let rows = sql.query(marked, &[]).await.unwrap();
        let asked = Utc::now().timestamp_micros();
        eventually("somebody looked since", PATIENCE, async || watched.lock().unwrap().last_look > asked).await;
        for row in rows {
            let (id, at): (String, i64) = (row.get(0), row.get(1));
            rounds.insert(at);
            let watched = watched.lock().unwrap();
            let was_cached = match watched.swaps.get(&at) {
                Some(cached) => cached.contains(&id),
                None => {
                    unseen.insert(at);
                    watched.gaps.iter().any(|(from, to)| *from < at + 1_000_000 && *to > at)
                }
            };
            assert!(was_cached, "{id} was marked after kill {kill} ({point:?}) and was not cached");
        }
    }
    let last = || *watched.lock().unwrap().swaps.keys().last().unwrap();
    let then = last();
    let goes_on = async || last() > then + 1_000_000;
    eventually("the last standby carries on", PATIENCE, goes_on).await;
    done.store(true, Ordering::Relaxed);
    watching.await.unwrap();
    let watched = watched.lock().unwrap();
    let unmarked = watched.swaps.keys().filter(|swap| !rounds.contains(*swap)).count();
    // That kills hit before the swap, after it and after the commit is the point of it all.
    let marked = rounds.len();
    assert!(
        marked > 20 && unmarked > 20 && before_swap > 20,
        "{marked} marked, {unmarked} not, {before_swap} not swapped"
    );
    assert!(unseen.len() < marked / 4, "{} of {marked} rounds went by unseen", unseen.len());
    working.stop().unwrap();
}

/// As soon as the worker has had its next round, and for longer than the consumer remembers, the orders have it.
#[tokio::test]
async fn a_user_who_moves_or_has_a_birthday_is_seen_in_orders_after_the_next_round() {
    let bed = Testbed::new("change_seen").await;
    ensure_topic(&bed.kafka, &bed.topic.orders()).await.unwrap();
    let producer: FutureProducer = bed.kafka.client(&[("acks", "all")]).create().unwrap();
    let environment = bed.environment();
    // No round comes by itself.
    let rounds = ["--interval", "1h"];
    let worker = Program::start("cache-worker", "cache-worker", rounds, &environment, bed.folder()).unwrap();
    let remember = ["--remember", "1s"];
    let consumer = Program::start("consumer", "consumer", remember, &environment, bed.folder()).unwrap();
    let user = || async {
        let json: Option<String> = bed.redis().await.hget(bed.keys().users, "U00000001").await.unwrap();
        json
    };
    eventually("the user is in the cache", PATIENCE, async || user().await.is_some()).await;
    let sql = bed.sql().await;
    let order = async |number: i64| {
        let key = format!("order-{number}");
        let record = FutureRecord::to(&bed.topic.topic).key(&key).payload(testbed::ORDER);
        producer.send_result(record).unwrap().await.unwrap().unwrap();
        wait_until_stored(&bed, number).await;
        let stored = "SELECT user_region, user_age_group FROM orders WHERE order_id = $1";
        let row = sql.query_one(stored, &[&key]).await.unwrap();
        (row.get::<_, String>(0), row.get::<_, String>(1))
    };
    let before = order(1).await;
    let change = "UPDATE users SET region = '독도', age = 77, age_group = '70대' WHERE user_id = 'U00000001'";
    sql.batch_execute(change).await.unwrap();
    assert_eq!(order(2).await, before, "no round yet");

    let after = ("독도".to_owned(), "70대".to_owned());
    let round = Program::start("round", "cache-worker", ["--once"], &environment, bed.folder()).unwrap();
    round.finish().unwrap();
    // The user may not be in the new thousand: then the consumer asks the table.
    let fresh = async || user().await.is_none_or(|json| json.contains("독도"));
    assert!(fresh().await, "no old user is in the cache after the round");
    let mut number = 2;
    let seen = async || {
        number += 1;
        order(number).await == after
    };
    let remembered = Duration::from_secs(1);
    eventually("the change is in the orders", remembered + Duration::from_secs(2), seen).await;
    let next = stored(&bed).await + 1;
    assert_eq!(order(next).await, after, "and stays");
    consumer.stop().unwrap();
    worker.stop().unwrap();
}
