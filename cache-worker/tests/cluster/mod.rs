//! A Redis in cluster mode with one node, which has all slots: commands on several keys need keys of one slot.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
};

use clap::Parser;
use redis::aio::ConnectionManager;
use shared::{
    cache::{self, CacheKeys, CacheSettings},
    catalog::{Product, User},
};
use testbed::{Testbed, eventually};

use super::{SIZE, TIMEOUT};

/// A server of this test alone, which ends with it.
struct ClusterNode {
    server: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Drop for ClusterNode {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl ClusterNode {
    async fn start() -> Self {
        let listeners = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        let [address, bus] = listeners.map(|listener| listener.local_addr().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let mut server = Command::new("redis-server");
        server.args(["--bind", "127.0.0.1", "--save", "", "--cluster-enabled", "yes", "--dir"]).arg(folder.path());
        server.args(["--port", &address.port().to_string(), "--cluster-port", &bus.port().to_string()]);
        let server = server.stdout(Stdio::null()).spawn().expect("redis-server is installed");
        let node = Self { server, address, _folder: folder };
        let mut redis = node.cache("").connect_lazily().unwrap();
        let has_slots = async || {
            let mut add_slots = redis::cmd("CLUSTER");
            add_slots.arg("ADDSLOTSRANGE").arg(0).arg(16_383);
            add_slots.query_async::<()>(&mut redis.clone()).await.is_ok()
        };
        eventually("the node has all slots", TIMEOUT, has_slots).await;
        let is_up = async || {
            let info: String = redis::cmd("CLUSTER").arg("INFO").query_async(&mut redis).await.unwrap();
            info.contains("cluster_state:ok")
        };
        eventually("the cluster is up", TIMEOUT, is_up).await;
        node
    }

    fn cache(&self, prefix: &str) -> CacheSettings {
        #[derive(Parser)]
        struct Arguments {
            #[command(flatten)]
            cache: CacheSettings,
        }
        let url = format!("redis://{}", self.address);
        Arguments::parse_from(["test", "--redis-url", &url, "--redis-prefix", prefix]).cache
    }
}

fn cache_worker(bed: &Testbed, cache: &CacheSettings, arguments: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cache-worker"));
    let output = command.args(arguments).envs(bed.environment()).envs(cache.environment()).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

async fn slot(redis: &mut ConnectionManager, key: &str) -> u16 {
    redis::cmd("CLUSTER").arg("KEYSLOT").arg(key).query_async(redis).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_serves_rounds_samples_and_lookups() {
    let (bed, node) = (Testbed::new("cluster").await, ClusterNode::start().await);
    // A prefix of a user, none, and one with a hash tag of its own.
    for prefix in ["a:", "", "{b}:"] {
        let cache = node.cache(prefix);
        // The second round replaces the rows of the first one.
        cache_worker(&bed, &cache, &["--once"]);
        cache_worker(&bed, &cache, &["--once"]);
        cache_worker(&bed, &cache, &["status"]);

        let (mut redis, keys) = (cache.connect(TIMEOUT).await.unwrap(), cache.keys());
        let contents = cache::contents(&mut redis, &keys).await.unwrap();
        assert_eq!((contents.users, contents.products), (SIZE, SIZE));
        assert_eq!(cache::refreshed_at(&mut redis, &keys).await.unwrap(), contents.refreshed_at);
        let users: Vec<User> = cache::sample(&mut redis, &keys.users, 50).await.unwrap();
        let products: Vec<Product> = cache::all(&mut redis, &keys.products).await.unwrap();
        assert_eq!((users.len(), products.len()), (50, SIZE));
        let ids: Vec<&str> = users.iter().map(|user| user.user_id.as_str()).collect();
        let found = cache::fields(&mut redis, &keys.users, &ids).await.unwrap();
        let found: Vec<User> = found.iter().map(|row| serde_json::from_slice(row.as_ref().unwrap()).unwrap()).collect();
        assert_eq!(found, users);

        let entry = keys.entry("user", "U00000001");
        let CacheKeys { users, products, refreshed_at, epoch, staging_users, staging_products, .. } = keys;
        let first = slot(&mut redis, &users).await;
        for key in [products, refreshed_at, epoch, staging_users, staging_products, entry] {
            assert_eq!(slot(&mut redis, &key).await, first, "{key}");
        }
    }
}
