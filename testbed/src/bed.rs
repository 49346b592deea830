//! The resources of one test.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
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
    telemetry::LOG_FORMAT_VARIABLE,
};
use tempfile::TempDir;
use tokio_postgres::Client;

use crate::{proxy::Proxy, stack::stack_environment, template};

/// The stack that the environment names.
#[derive(Parser)]
struct Stack {
    #[command(flatten)]
    services: ServiceSettings,
}

fn services(arguments: &[&str]) -> ServiceSettings {
    Stack::parse_from(["test"].iter().chain(arguments)).services
}

/// A topic, a group, a database, a Redis prefix and a folder, for one test. Dropping it deletes all of them.
pub struct Testbed {
    /// Name of the database and of the group, and part of all other names.
    pub name: String,
    /// The cluster of the stack.
    pub kafka: KafkaSettings,
    /// The test's topic; it is not created yet.
    pub topic: TopicSettings,
    /// Redis, with the test's key prefix.
    pub cache: CacheSettings,
    /// The test's database, with [`USERS`](crate::USERS) users and [`PRODUCTS`](crate::PRODUCTS) products.
    pub database: DatabaseSettings,
    services: ServiceSettings,
    server: DatabaseSettings,
    folder: TempDir,
}

impl Testbed {
    /// Creates the resources of the test named `test`.
    ///
    /// # Panics
    /// When the environment names no stack.
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
        let server = services.database.settings().expect("the database settings are usable");
        let database = template::new_database(&server, &name).await;
        let folder = TempDir::with_prefix("orderflow-").expect("a temporary folder can be created");
        let (kafka, topic, cache) = (services.kafka.clone(), services.topic.clone(), services.cache.clone());
        Self { name, kafka, topic, cache, database, services, server, folder }
    }

    /// The test's database at another address, such as that of a proxy.
    ///
    /// # Panics
    /// When the database settings of the environment are not usable.
    pub fn database_at(&self, address: SocketAddr) -> DatabaseSettings {
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let services = services(&["--postgres-host", &host, "--postgres-port", &port]);
        let settings = services.database.settings().expect("the database settings are usable");
        settings.with_database(self.database.database())
    }

    /// Redis with the test's key prefix and the password of the stack, reached through `proxy`.
    ///
    /// # Panics
    /// When REDIS_URL is not a URL.
    pub fn cache_behind(&self, proxy: &Proxy) -> CacheSettings {
        self.cache.at(proxy.address).expect("REDIS_URL has an IP address and a port")
    }

    /// A proxy to Redis.
    ///
    /// # Panics
    /// When REDIS_URL has no IP address and port.
    pub async fn redis_proxy(&self) -> Proxy {
        Proxy::to(self.cache.address().parse().expect("REDIS_URL has an IP address and a port")).await
    }

    /// A proxy to PostgreSQL.
    ///
    /// # Panics
    /// When the database host is not an IP address.
    pub async fn database_proxy(&self) -> Proxy {
        let (host, port) = self.database.address();
        Proxy::to(format!("{host}:{port}").parse().expect("the database host is an IP address")).await
    }

    /// The test's resources as environment variables, for a program that the test starts. The program logs as text,
    /// also into a pipe.
    pub fn environment(&self) -> Vec<(String, String)> {
        let mut environment = self.services.environment();
        for (name, value) in [
            ("CONSUMER_GROUP", self.name.clone()),
            ("POSTGRES_DB", self.database.database().to_owned()),
            ("RUNS_DIR", self.runs().display().to_string()),
            (LOG_FORMAT_VARIABLE, "text".to_owned()),
        ] {
            environment.retain(|(present, _)| present != name);
            environment.push((name.to_owned(), value));
        }
        environment
    }

    /// The variables that lead to the test's database as to one at Supabase: by TLS, and through PgBouncer in
    /// transaction mode but for what needs a session.
    ///
    /// # Panics
    /// When the stack has no PgBouncer.
    pub fn supabase(&self) -> BTreeMap<String, String> {
        let mut variables = stack_environment("--supabase");
        for name in ["SUPABASE_DIRECT_URL", "SUPABASE_POOLER_URL"] {
            let url = variables.get_mut(name).expect("deploy/stack env --supabase sets both URLs");
            let (server, _) = url.rsplit_once('/').expect("a URL ends with a database");
            *url = format!("{server}/{}", self.database.database());
        }
        variables
    }

    /// The test's folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Folder of the run ledgers.
    pub fn runs(&self) -> PathBuf {
        self.folder.path().join("runs")
    }

    /// A connection to the test's database.
    ///
    /// # Panics
    /// When the database can't be reached.
    pub async fn sql(&self) -> Client {
        connect(&self.database).await.expect("the test's database can be reached")
    }

    /// A connection to the test's database for statements that Diesel builds.
    ///
    /// # Panics
    /// When the database can't be reached.
    pub async fn statements(&self) -> StatementClient {
        let connecting = StatementClient::connect(&self.database, StatementMode::Unnamed, Duration::from_secs(30));
        connecting.await.expect("the test's database can be reached")
    }

    /// A connection to Redis.
    ///
    /// # Panics
    /// When Redis can't be reached.
    pub async fn redis(&self) -> ConnectionManager {
        self.cache.connect(Duration::from_secs(10)).await.expect("Redis can be reached")
    }

    /// The test's keys in Redis.
    pub fn keys(&self) -> CacheKeys {
        self.cache.keys()
    }
}

impl Drop for Testbed {
    fn drop(&mut self) {
        let (server, database) = (self.server.clone(), self.database.database().to_owned());
        let (kafka, topics) = (self.kafka.clone(), [self.topic.topic.clone(), self.topic.dead_letter_topic()]);
        let (cache, keys) = (self.cache.clone(), self.keys());
        // `drop` runs inside the test's runtime, which must not be blocked on: the cleanup needs a thread and a runtime
        // of its own.
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
