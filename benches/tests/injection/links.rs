use std::{io::ErrorKind, time::Duration};

use benches::fault::{Fault, Target};
use shared::database::connect;
use testbed::{Testbed, eventually};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_postgres::Client;

use crate::{
    injector::{Injection, timed},
    scenario::TIMEOUT,
};

const REDIS: Target = Target::Redis;
const POSTGRES: Target = Target::Postgres;

/// The value of a variable that the programs get.
fn variable(environment: &[(String, String)], name: &str) -> String {
    environment.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("no {name}")).1.clone()
}

/// A connection to the test's database through the proxy.
async fn proxied_database(bed: &Testbed, port: &str) -> anyhow::Result<Client> {
    let environment = bed.environment();
    let value = |name| variable(&environment, name);
    let text = format!(
        "postgres://{}:{}@127.0.0.1:{port}/{}",
        value("POSTGRES_USER"),
        value("POSTGRES_PASSWORD"),
        bed.database.database()
    );
    let (client, connection) = tokio_postgres::connect(&text, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn answers(client: &Client) -> bool {
    matches!(timeout(Duration::from_secs(2), client.simple_query("SELECT 1")).await, Ok(Ok(_)))
}

/// A connection to Redis through the proxy that has answered once.
async fn proxied_redis(address: &str) -> TcpStream {
    let mut redis = TcpStream::connect(address).await.unwrap();
    redis.write_all(b"PING\r\n").await.unwrap();
    assert!(redis.read(&mut [0; 64]).await.unwrap() > 0);
    redis
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_slow_black_holed_and_cut_for_its_time_and_works_afterwards() {
    let bed = Testbed::new("injection_links").await;
    let slow = Fault::SlowLink { target: POSTGRES, delay: Duration::from_millis(500) };
    let hole = Fault::BlackHoleLink(POSTGRES);
    let cut = Fault::CutLink(POSTGRES);
    let faults = [timed(0, 2_500, slow), timed(0, 2_500, hole), timed(0, 2_500, cut)];
    let injection = Injection::new(&bed, &faults).await;
    let port = variable(&injection.environment, "POSTGRES_PORT");
    assert_ne!(port, variable(&bed.environment(), "POSTGRES_PORT"));
    assert!(!injection.environment.iter().any(|(name, _)| name == "REDIS_URL" || name == "KAFKA_BROKERS"));
    let direct = connect(&bed.database).await.unwrap();

    for (number, fault) in faults.iter().enumerate() {
        let client = proxied_database(&bed, &port).await.unwrap();
        assert!(answers(&client).await);
        injection.events.lock().unwrap().clear();
        let watching = async {
            injection.wait_for_beginnings(1).await;
            let asked = Instant::now();
            match number {
                0 => {
                    assert!(answers(&client).await);
                    assert!(asked.elapsed() >= Duration::from_secs(1), "{:?}", asked.elapsed());
                }
                1 => assert!(!answers(&client).await && !client.is_closed()),
                _ => {
                    assert!(!answers(&client).await && client.is_closed());
                    assert!(proxied_database(&bed, &port).await.is_err());
                }
            }
            assert!(answers(&direct).await, "only the link is broken");
        };
        tokio::join!(injection.run_without_error(std::slice::from_ref(fault)), watching);
        let asked = Instant::now();
        match number {
            0 => {
                assert!(answers(&client).await && asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
            }
            // What was dropped is lost, so the connection ends.
            _ => eventually("the connection is closed", TIMEOUT, async || client.is_closed()).await,
        }
        assert!(answers(&proxied_database(&bed, &port).await.unwrap()).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_link_resets_idle_connections_too_and_accepts_others_at_once() {
    let bed = Testbed::new("injection_reset").await;
    let faults = [timed(0, None, Fault::ResetLink(REDIS))];
    let injection = Injection::new(&bed, &faults).await;
    let url = variable(&injection.environment, "REDIS_URL");
    let address = url.rsplit_once('@').map_or(url.trim_start_matches("redis://"), |(_, address)| address);
    let mut idle = proxied_redis(address).await;
    injection.run_without_error(&faults).await;
    let read = timeout(TIMEOUT, idle.read(&mut [0; 64])).await.unwrap();
    assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
    proxied_redis(address).await;
}
