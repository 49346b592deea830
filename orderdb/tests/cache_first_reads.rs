//! Rows by id from a real Redis, else from a real table.

use std::{
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use redis::{AsyncCommands, RedisError};
use shared::{
    cache::CacheSettings,
    catalog::{Product, User, UserId},
    database::{DatabaseSettings, Order},
    lookup::{
        CacheHealth, LoggedOutage, MAX_FILL_AGE, OrderField, QueryConnections, RowCache, RowReader, UserField,
        select_rows,
    },
};
use testbed::{Testbed, eventually};

const DEADLINE: Duration = Duration::from_secs(10);

fn cache_at(settings: &CacheSettings, health: impl CacheHealth + 'static) -> Arc<RowCache> {
    Arc::new(RowCache::new(settings.connect_lazily().unwrap(), settings.keys(), health))
}

fn cache(bed: &Testbed) -> Arc<RowCache> {
    cache_at(&bed.cache, LoggedOutage::default())
}

fn connections(database: &DatabaseSettings) -> Arc<QueryConnections> {
    Arc::new(QueryConnections::new(database, 3, DEADLINE))
}

fn users(bed: &Testbed) -> RowReader<User> {
    RowReader::new(cache(bed), connections(&bed.database))
}

async fn region(reader: &RowReader<User>, id: &str) -> String {
    reader.row(&UserId::from(id)).await.unwrap().unwrap().region.clone()
}

async fn insert_order(bed: &Testbed, id: &str, status: &str) {
    let insert = "INSERT INTO orders (order_id, user_id, product_id, quantity, total_amount, payment_method, status, \
                  created_at) VALUES ($1, 'U00000001', 'P000001', 1, 1, 'card', $2, now())";
    bed.sql().await.execute(insert, &[&id, &status]).await.unwrap();
}

/// Runs `orderdb` with these arguments.
async fn orderdb(bed: &Testbed, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orderdb"));
    command.args(arguments).envs(bed.environment()).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The metrics of this thread, on which the runtime of the test runs everything.
struct Metrics {
    page: PrometheusHandle,
    _recorder: metrics::LocalRecorderGuard<'static>,
}

impl Metrics {
    fn record() -> Self {
        let recorder = Box::leak(Box::new(PrometheusBuilder::new().build_recorder()));
        Self { page: recorder.handle(), _recorder: metrics::set_default_local_recorder(recorder) }
    }

    fn value(&self, metric: &str) -> u64 {
        let page = self.page.render();
        page.lines().find_map(|line| line.strip_prefix(metric)?.trim().parse().ok()).unwrap_or(0)
    }

    fn queries(&self, what: &str) -> u64 {
        self.value(&format!("orderflow_row_queries_total{{what=\"{what}\"}}"))
    }

    fn lookups(&self, what: &str, result: &str) -> u64 {
        self.value(&format!("orderflow_cache_lookups_total{{what=\"{what}\",result=\"{result}\"}}"))
    }
}

#[tokio::test]
async fn a_row_is_read_from_the_table_once_and_then_from_redis_for_five_minutes() {
    let (metrics, bed) = (Metrics::record(), Testbed::new("reads_once").await);
    insert_order(&bed, "order-1", "paid").await;
    let reader = RowReader::<Order>::new(cache(&bed), connections(&bed.database));
    let id = "order-1".to_owned();
    let first = reader.row(&id).await.unwrap().unwrap();
    bed.sql().await.batch_execute("DELETE FROM orders").await.unwrap();
    assert_eq!(reader.row(&id).await.unwrap().unwrap(), first);
    assert_eq!(reader.field(&id, OrderField::Status).await.unwrap().unwrap(), "paid");
    assert_eq!(
        (metrics.queries("order"), metrics.lookups("order", "miss"), metrics.lookups("order", "hit")),
        (1, 1, 2)
    );
    let ttl: i64 = bed.redis().await.ttl(bed.keys().entry("order", "order-1")).await.unwrap();
    assert!((290..=300).contains(&ttl), "{ttl} s");
}

#[tokio::test]
async fn a_row_that_the_cache_worker_has_cached_is_read_there() {
    let (metrics, bed) = (Metrics::record(), Testbed::new("reads_hash").await);
    testbed::fill_cache(&bed).await;
    bed.sql().await.batch_execute("UPDATE users SET region = 'moved'").await.unwrap();
    let reader = users(&bed);
    assert_ne!(region(&reader, "U00000001").await, "moved");
    assert_eq!(region(&reader, "U00001200").await, "moved", "the hash does not have it");
    assert_eq!((metrics.queries("user"), metrics.lookups("user", "hit")), (1, 1));
}

#[tokio::test]
async fn fifty_simultaneous_reads_of_an_id_are_one_query() {
    let (metrics, bed) = (Metrics::record(), Testbed::new("reads_single").await);
    let reader = RowReader::<Product>::new(cache(&bed), connections(&bed.database));
    let id = "P000001".into();
    let read = join_all((0..50).map(|_| reader.row(&id))).await;
    assert!(read.iter().all(|product| product.as_ref().unwrap().as_ref().unwrap().product_id == id));
    assert_eq!((metrics.queries("product"), metrics.lookups("product", "miss")), (1, 1));
    let unknown = "P999999".into();
    let read = join_all((0..50).map(|_| reader.row(&unknown))).await;
    assert!(read.iter().all(|product| product.as_ref().unwrap().is_none()));
    assert_eq!(metrics.queries("product"), 2);
    // That there is no row is not cached.
    assert!(reader.row(&unknown).await.unwrap().is_none());
    assert_eq!(metrics.queries("product"), 3);
}

#[tokio::test]
async fn a_single_field_is_read_alone_and_does_not_become_an_entry() {
    let (metrics, bed) = (Metrics::record(), Testbed::new("reads_field").await);
    insert_order(&bed, "order-1", "payment_pending").await;
    let reader = RowReader::<Order>::new(cache(&bed), connections(&bed.database));
    let id = "order-1".to_owned();
    let statuses = join_all((0..50).map(|_| reader.field(&id, OrderField::Status))).await;
    assert!(statuses.iter().all(|status| status.as_ref().unwrap().as_ref().unwrap() == "payment_pending"));
    assert_eq!(metrics.queries("order"), 1);
    let exists: bool = bed.redis().await.exists(bed.keys().entry("order", "order-1")).await.unwrap();
    assert!(!exists);
    // The same value whether it comes from the table or from Redis.
    let fields = [OrderField::Quantity, OrderField::CreatedAt, OrderField::UserRegion];
    let from_table = join_all(fields.map(|field| reader.field(&id, field))).await;
    reader.row(&id).await.unwrap();
    for (field, from_table) in fields.into_iter().zip(from_table) {
        assert_eq!(reader.field(&id, field).await.unwrap(), from_table.unwrap(), "{field:?}");
    }
    let (users, user) = (users(&bed), UserId::from("U00000001"));
    let join_date = users.field(&user, UserField::JoinDate).await.unwrap().unwrap();
    users.row(&user).await.unwrap();
    assert_eq!(users.field(&user, UserField::JoinDate).await.unwrap().unwrap(), join_date);
    assert!(users.field(&"nobody".into(), UserField::Age).await.unwrap().is_none());
}

#[tokio::test]
async fn an_update_ends_what_redis_has_and_a_slow_reader_can_not_bring_the_old_row_back() {
    let bed = Testbed::new("reads_race").await;
    testbed::fill_cache(&bed).await;
    let (cache, reader, id) = (cache(&bed), users(&bed), "U00000001");
    // A reader has read the old row, and will write it into Redis after the update.
    let queried_at = Instant::now();
    let old: Vec<User> = select_rows(&mut bed.statements().await, vec![id]).await.unwrap();
    assert_eq!(region(&reader, id).await, old[0].region, "from the hash");
    orderdb(&bed, &["user", "update", id, "--region", "moved"]).await;
    cache.fill(&old, queried_at).await;
    assert_eq!(region(&reader, id).await, "moved");
    assert!(orderdb(&bed, &["user", "show", id, "--field", "region"]).await.contains("moved"));
    let mut redis = bed.redis().await;
    let tombstone = bed.keys().entry("user", id);
    let (text, ttl): (String, i64) = (redis.get(&tombstone).await.unwrap(), redis.ttl(&tombstone).await.unwrap());
    // Longer than the deadline of the COMMIT and the age of a row that is written.
    assert!(text.is_empty() && ttl > 30 + MAX_FILL_AGE.as_secs().cast_signed(), "{text:?}, {ttl} s");
    let in_hash: bool = redis.hexists(bed.keys().users, id).await.unwrap();
    assert!(!in_hash);
    // Once the tombstone has expired, the row becomes an entry again.
    let () = redis.del(&tombstone).await.unwrap();
    assert_eq!(region(&reader, id).await, "moved");
    let entry: String = redis.get(&tombstone).await.unwrap();
    assert!(entry.contains("moved"), "{entry}");
}

#[tokio::test]
async fn a_row_that_was_queried_too_long_ago_is_not_written() {
    let bed = Testbed::new("reads_late").await;
    let old: Vec<User> = select_rows(&mut bed.statements().await, vec!["U00000001"]).await.unwrap();
    let long_ago = Instant::now().checked_sub(MAX_FILL_AGE + Duration::from_secs(1)).unwrap();
    cache(&bed).fill(&old, long_ago).await;
    let exists: bool = bed.redis().await.exists(bed.keys().entry("user", "U00000001")).await.unwrap();
    assert!(!exists);
}

#[tokio::test]
async fn a_read_after_a_commit_does_not_share_a_query_that_began_before() {
    let bed = Testbed::new("reads_own_writes").await;
    let reader = users(&bed);
    let id = UserId::from("U00000001");
    let sql = bed.sql().await;
    sql.batch_execute("BEGIN; LOCK TABLE users").await.unwrap();
    let reads_old = reader.row(&id);
    tokio::pin!(reads_old);
    let waiting = "SELECT count(*) FROM pg_locks WHERE database = (SELECT oid FROM pg_database \
                   WHERE datname = current_database()) AND NOT granted";
    let other = bed.sql().await;
    let waits = async || other.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) == 1;
    tokio::select! {
        read = &mut reads_old => panic!("the table is locked, but it was read: {read:?}"),
        () = eventually("it waits for the table", DEADLINE, waits) => {}
    }
    reader.committed();
    let reads_new = reader.row(&id);
    let unlocked = async { sql.batch_execute("COMMIT").await.unwrap() };
    let (old, new, ()) = tokio::join!(reads_old, reads_new, unlocked);
    let (old, new) = (old.unwrap().unwrap(), new.unwrap().unwrap());
    assert!(!Arc::ptr_eq(&old, &new));
}

/// Counts the calls of Redis that failed.
#[derive(Clone, Default)]
struct Failures(Arc<AtomicUsize>);

impl CacheHealth for Failures {
    fn works(&self) {}

    fn fails(&self, _: &RedisError) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_redis_that_refuses_or_does_not_answer_costs_no_read() {
    let (metrics, bed) = (Metrics::record(), Testbed::new("reads_no_redis").await);
    let silent = bed.redis_proxy().await;
    silent.stall();
    let refuses = bed.cache.at("127.0.0.1:1".parse().unwrap()).unwrap();
    for settings in [refuses, bed.cache_behind(&silent)] {
        let failures = Failures::default();
        let reader = RowReader::<User>::new(cache_at(&settings, failures.clone()), connections(&bed.database));
        let began = Instant::now();
        for _ in 0..30 {
            assert!(reader.row(&"U00000001".into()).await.unwrap().is_some());
        }
        let (failed, took) = (failures.0.load(Ordering::Relaxed), began.elapsed());
        // Far from the 30 s that 30 timeouts would take.
        assert!(
            (1..10).contains(&failed) && took < Duration::from_secs(10),
            "{failed} of 30 reads asked Redis, {took:?}"
        );
    }
    assert_eq!((metrics.lookups("user", "unavailable"), metrics.queries("user")), (60, 60));
}

#[tokio::test]
async fn a_value_that_is_no_row_is_counted_and_read_from_the_table() {
    let (metrics, bed) = (Metrics::record(), Testbed::new("reads_invalid").await);
    let mut redis = bed.redis().await;
    let () = redis.hset(bed.keys().users, "U00000001", "not JSON").await.unwrap();
    let () = redis.set(bed.keys().entry("user", "U00000002"), r#"{"user_id":"U00000003"}"#).await.unwrap();
    let reader = users(&bed);
    for id in ["U00000001", "U00000002"] {
        assert_eq!(reader.row(&id.into()).await.unwrap().unwrap().user_id, id.into());
    }
    assert_eq!((metrics.lookups("user", "invalid"), metrics.queries("user")), (2, 2));
}

#[tokio::test]
async fn a_database_that_fails_is_an_error_of_all_that_wait_and_a_lost_connection_of_none() {
    let bed = Testbed::new("reads_no_database").await;
    let nowhere = connections(&bed.database_at("127.0.0.1:1".parse().unwrap()));
    let reader = RowReader::<User>::new(cache(&bed), nowhere);
    let (id, began) = (UserId::from("U00000001"), Instant::now());
    let read = join_all((0..50).map(|_| reader.row(&id))).await;
    assert!(read.iter().all(|user| user.as_ref().unwrap_err().to_string().contains("can't be reached")));
    assert!(began.elapsed() < Duration::from_secs(10));
    // Redis has it: the database is not needed.
    region(&users(&bed), "U00000001").await;
    region(&reader, "U00000001").await;

    let proxy = bed.database_proxy().await;
    let one = Arc::new(QueryConnections::new(&bed.database_at(proxy.address), 1, DEADLINE));
    let reader = RowReader::<User>::new(cache(&bed), one);
    for id in ["U00000002", "U00000003", "U00000004"] {
        region(&reader, id).await;
        proxy.cut();
    }
}
