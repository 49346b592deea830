//! What an integration test owns: a topic, a group, a database made from a template, a Redis prefix and a folder, so that
//! tests run beside each other on one stack. All of it goes when the test ends.
//!
//! The stack is the one that the environment names, as `deploy/stack env` prints it; `deploy/test` brings one up.

mod proxy;
mod template;

use std::{
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use clap::Parser;
use rdkafka::{
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
};
use redis::aio::ConnectionManager;
use shared::{
    cache::{CacheKeys, CacheSettings},
    database::{DatabaseSettings, StatementClient, StatementMode, connect},
    kafka::{KafkaSettings, TopicSettings},
    services::ServiceSettings,
};
use tempfile::TempDir;
use tokio_postgres::Client;

pub use self::proxy::Proxy;

/// Users and products that a test's database is seeded with.
pub const USERS: u64 = 1_200;
/// See [`USERS`].
pub const PRODUCTS: u64 = 1_100;

/// The value of an order that a test's database takes.
pub const ORDER: &str = r#"{"user_id":"U00000001","product_id":"P000001","quantity":1,"total_amount":1000,"shipping_cost":0,
    "discount_amount":0,"payment_method":"card","status":"paid","created_at":"2026-01-01T00:00:00Z"}"#;

/// Reads the services of the stack from the environment.
#[derive(Parser)]
struct Stack {
    #[command(flatten)]
    services: ServiceSettings,
}

fn services(arguments: &[&str]) -> ServiceSettings {
    Stack::parse_from(["test"].iter().chain(arguments)).services
}

/// A test's own corner of the stack.
pub struct Testbed {
    /// Names everything that is the test's own.
    pub name: String,
    /// The cluster.
    pub kafka: KafkaSettings,
    /// The test's topic; not created yet.
    pub topic: TopicSettings,
    /// Redis, under the test's prefix.
    pub cache: CacheSettings,
    /// The test's database: migrated, with [`USERS`] users and [`PRODUCTS`] products.
    pub database: DatabaseSettings,
    services: ServiceSettings,
    server: DatabaseSettings,
    folder: TempDir,
}

impl Testbed {
    /// A corner of its own for the test named `test`.
    ///
    /// # Panics
    /// When there is no stack.
    pub async fn new(test: &str) -> Self {
        assert!(
            std::env::var_os("KAFKA_BROKERS").is_some(),
            "no stack in the environment: run deploy/test, or eval \"$(deploy/stack --name test env)\" first"
        );
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("{test}_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut services = services(&[]);
        services.topic.topic = format!("orders.{name}");
        services.cache.redis_prefix = format!("{name}:");
        let server = services.database.settings().expect("the settings of the database are usable");
        let database = template::new_database(&server, &name).await;
        let folder = TempDir::with_prefix("orderflow-").expect("there is room for a folder");
        let (kafka, topic, cache) = (services.kafka.clone(), services.topic.clone(), services.cache.clone());
        Self { name, kafka, topic, cache, database, services, server, folder }
    }

    /// The test's database, reached through `proxy`.
    ///
    /// # Panics
    /// When the environment names it by a URL.
    pub fn database_behind(&self, proxy: &Proxy) -> DatabaseSettings {
        let (host, port) = (proxy.address.ip().to_string(), proxy.address.port().to_string());
        let services = services(&["--postgres-host", &host, "--postgres-port", &port]);
        let settings = services.database.settings().expect("the settings are usable");
        settings.with_database(self.database.database())
    }

    /// Redis, under the test's prefix, reached through `proxy`.
    pub fn cache_behind(&self, proxy: &Proxy) -> CacheSettings {
        let redis_url = format!("redis://{}", proxy.address).into();
        CacheSettings { redis_url, ..self.cache.clone() }
    }

    /// A proxy in front of Redis.
    ///
    /// # Panics
    /// When there is none.
    pub async fn redis_proxy(&self) -> Proxy {
        Proxy::to(self.cache.address().parse().expect("Redis has an address")).await
    }

    /// A proxy in front of PostgreSQL.
    ///
    /// # Panics
    /// When its address has a name and no number.
    pub async fn database_proxy(&self) -> Proxy {
        let (host, port) = self.database.address();
        Proxy::to(format!("{host}:{port}").parse().expect("PostgreSQL has an address")).await
    }

    /// The settings by which a program of ours finds the test's corner, as environment variables.
    pub fn environment(&self) -> Vec<(String, String)> {
        let mut environment = self.services.environment();
        for (name, value) in [
            ("CONSUMER_GROUP", self.name.clone()),
            ("POSTGRES_DB", self.database.database().to_owned()),
            ("RUNS_DIR", self.runs().display().to_string()),
        ] {
            environment.retain(|(present, _)| present != name);
            environment.push((name.to_owned(), value));
        }
        environment
    }

    /// A folder of the test's own.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the test's runs leave their ledgers.
    pub fn runs(&self) -> std::path::PathBuf {
        self.folder.path().join("runs")
    }

    /// A connection to the test's database.
    ///
    /// # Panics
    /// When it can't be reached.
    pub async fn sql(&self) -> Client {
        connect(&self.database).await.expect("the test's database can be reached")
    }

    /// A connection to the test's database for statements that Diesel built.
    ///
    /// # Panics
    /// When it can't be reached.
    pub async fn statements(&self) -> StatementClient {
        let connecting = StatementClient::connect(&self.database, StatementMode::Unnamed, Duration::from_secs(30));
        connecting.await.expect("the test's database can be reached")
    }

    /// A connection to Redis.
    ///
    /// # Panics
    /// When it can't be reached.
    pub async fn redis(&self) -> ConnectionManager {
        self.cache.connect(Duration::from_secs(10)).await.expect("Redis can be reached")
    }

    /// The names of the test's keys.
    pub fn keys(&self) -> CacheKeys {
        self.cache.keys()
    }
}

impl Drop for Testbed {
    fn drop(&mut self) {
        let (server, database) = (self.server.clone(), self.database.database().to_owned());
        let (kafka, topics) = (self.kafka.clone(), [self.topic.topic.clone(), self.topic.dead_letter_topic()]);
        let (cache, keys) = (self.cache.clone(), self.keys());
        // A test's own runtime can't be waited for from within: a thread with one of its own cleans up.
        let cleaning = std::thread::spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
            runtime.block_on(async {
                if let Ok(client) = connect(&server).await {
                    let _ = client.batch_execute(&format!("DROP DATABASE IF EXISTS \"{database}\" WITH (FORCE)")).await;
                }
                if let Ok(admin) = kafka.client(&[]).create::<AdminClient<DefaultClientContext>>() {
                    let _ = admin.delete_topics(&topics.each_ref().map(String::as_str), &AdminOptions::new()).await;
                }
                if let Ok(mut redis) = cache.connect(Duration::from_secs(2)).await {
                    let all = [
                        keys.users,
                        keys.products,
                        keys.refreshed_at,
                        keys.epoch,
                        keys.staging_users,
                        keys.staging_products,
                    ];
                    let _: redis::RedisResult<()> = redis::cmd("DEL").arg(&all).query_async(&mut redis).await;
                }
            });
        });
        let _ = cleaning.join();
    }
}

/// Waits until `condition` holds.
///
/// # Panics
/// When it doesn't within `patience`; the message names `what`.
pub async fn eventually(what: &str, patience: Duration, mut condition: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(patience, async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(waited.await.is_ok(), "{what}: not within {patience:?}");
}

/// Puts a few users and products that the test's database has into the test's cache, as the cache-worker would.
///
/// # Panics
/// When Redis or the database can't be reached.
pub async fn fill_cache(bed: &Testbed) {
    let (sql, mut redis) = (bed.sql().await, bed.redis().await);
    for (table, id, key) in [("users", "user_id", bed.keys().users), ("products", "product_id", bed.keys().products)] {
        let query = format!("SELECT {id}, to_jsonb(t)::text FROM {table} t ORDER BY {id} LIMIT 100");
        for row in sql.query(&query, &[]).await.expect("the table can be read") {
            let (id, json): (String, String) = (row.get(0), row.get(1));
            let () = redis::AsyncCommands::hset(&mut redis, &key, id, json).await.expect("the cache can be filled");
        }
    }
}
