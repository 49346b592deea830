//! PostgreSQL fails over to a standby, while the old primary still runs and refuses to write.

use std::process::Stdio;

use benches::process::{Program, command};
use secrecy::ExposeSecret;
use shared::{kafka::ensure_topic, ledger::RunSummary};
use testbed::{Standby, Testbed, eventually};

use super::scenario::{TIMEOUT, stored_in, wait_until_stored};

/// One consumer knows both servers; the address of the other one leads to the new primary afterwards.
pub async fn orders_go_to_the_new_primary_and_none_is_lost() {
    let bed = Testbed::new("failover").await;
    ensure_topic(&bed.kafka, &bed.topic.orders()).await.unwrap();
    testbed::fill_cache(&bed).await;
    let standby = Standby::of(&bed.database).await;
    let (user, password) = bed.database.credentials();
    let (host, port) = bed.database.address();
    let url = |hosts: &str, settings: &str| {
        let (password, database) = (password.expose_secret(), bed.database.database());
        format!("postgres://{user}:{password}@{hosts}/{database}?{settings}")
    };
    let proxy = bed.database_proxy().await;
    let both = url(&format!("{host}:{port},{}", standby.address), "target_session_attrs=read-write");
    let consumers = [("both", both), ("address", url(&proxy.address.to_string(), ""))].map(|(name, url)| {
        let environment = [bed.environment(), vec![("DATABASE_URL".to_owned(), url)]].concat();
        Program::start(name, "consumer", [""; 0], &environment, bed.folder()).unwrap()
    });
    let mut producer = command("producer").unwrap();
    producer.args(["--rate", "500", "--duration", "15s", "--catch-up", "1m", "--run-id", "r", "--output", "json"]);
    let producer = producer.envs(bed.environment()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until_stored(&bed, 1_000).await;
    let have_partitions = async || consumers.iter().all(|consumer| consumer.log().contains("partitions assigned"));
    eventually("both consumers have partitions", TIMEOUT, have_partitions).await;

    let old = bed.sql().await;
    let database = bed.database.database();
    old.batch_execute(&format!("ALTER DATABASE \"{database}\" SET default_transaction_read_only = on")).await.unwrap();
    let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
    old.execute(others, &[]).await.unwrap();
    let failed = "SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()";
    let failed = async || old.query_one(failed, &[]).await.unwrap().get::<_, i64>(0);
    let failed_before = failed().await;
    eventually("the old primary refuses inserts", TIMEOUT, async || failed().await > failed_before + 10).await;
    let before = stored_in(&bed.database).await;
    standby.catch_up_with(&old).await;
    standby.promote(database).await;
    proxy.lead_to(standby.address);

    let output = tokio::task::spawn_blocking(move || producer.wait_with_output()).await.unwrap().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    let run: RunSummary = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{log}"));
    let acknowledged = i64::try_from(run.counts.acknowledged).unwrap();
    let mut services = bed.environment();
    services.push(("DATABASE_URL".to_owned(), url(&standby.address.to_string(), "")));
    let new = bed.database_at(standby.address);
    eventually("all orders are at the new primary", TIMEOUT, async || stored_in(&new).await >= acknowledged).await;
    assert_eq!(stored_in(&bed.database).await, before, "the old primary was written");
    for consumer in consumers {
        let log = consumer.log();
        assert!(log.contains("working again") && !log.contains("dead-lettered"), "{log}");
        consumer.stop().unwrap();
    }
    let mut audit = command("orderdb").unwrap();
    audit.args(["audit", "r"]).envs(services);
    let audit = tokio::task::spawn_blocking(move || audit.output()).await.unwrap().unwrap();
    let report = String::from_utf8_lossy(&audit.stdout);
    assert_eq!(audit.status.code(), Some(0), "{report}{}", String::from_utf8_lossy(&audit.stderr));
}
