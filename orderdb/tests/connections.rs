//! How long a connection lives, and what the server knows of it.

use std::time::Duration;

use clap::Parser;
use diesel::sql_query;
use secrecy::ExposeSecret;
use shared::database::{DatabaseArgs, DatabaseSettings, ReconnectingClient, StatementMode, connect};
use testbed::{Testbed, eventually};

const TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    database: DatabaseArgs,
}

fn settings(arguments: &[&str]) -> DatabaseSettings {
    Settings::parse_from(["test"].iter().chain(arguments)).database.settings().unwrap()
}

/// The server process of the connection.
async fn backend(client: &mut ReconnectingClient) -> i32 {
    let client = client.connected().await.unwrap();
    client.query_one(&sql_query("SELECT pg_backend_pid()")).await.unwrap().get(0)
}

fn client(settings: DatabaseSettings) -> ReconnectingClient {
    ReconnectingClient::new(settings, StatementMode::Prepared, Duration::from_secs(10))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_closed_when_the_server_falls_silent_and_opened_again() {
    let bed = Testbed::new("idle").await;
    let proxy = bed.database_proxy().await;
    let mut client = client(bed.database_at(proxy.address));
    let before = backend(&mut client).await;
    proxy.stall();
    eventually("the connection is closed", TIMEOUT, async || !client.is_connected()).await;
    proxy.resume();
    assert_ne!(backend(&mut client).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_replaced_after_its_lifetime() {
    let mut short = client(settings(&["--db-max-lifetime", "100ms"]));
    let first = backend(&mut short).await;
    let mut unlimited = client(settings(&["--db-max-lifetime", "0s"]));
    let only = backend(&mut unlimited).await;
    eventually("the connection is replaced", TIMEOUT, async || backend(&mut short).await != first).await;
    assert_eq!(backend(&mut unlimited).await, only);
}

#[tokio::test]
async fn all_connections_are_opened_again_when_one_finds_the_server_wrong_and_an_expired_one_is_kept_without_another() {
    let bed = Testbed::new("given_up").await;
    let proxy = bed.database_proxy().await;
    let (mut first, mut second) = (client(bed.database.clone()), client(bed.database.clone()));
    let before = (backend(&mut first).await, backend(&mut second).await);
    first.disconnect_all();
    let after = (backend(&mut first).await, backend(&mut second).await);
    assert!(before.0 != after.0 && before.1 != after.1, "{before:?} {after:?}");
    assert_eq!(backend(&mut second).await, after.1);

    let mut expired =
        client(settings(&["--db-max-lifetime", "1ms", "--postgres-port", &proxy.address.port().to_string()]));
    let only = backend(&mut expired).await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    // Nobody listens there.
    proxy.lead_to(([127, 0, 0, 1], 1).into());
    assert_eq!(backend(&mut expired).await, only);
}

#[tokio::test]
async fn a_session_has_the_name_of_the_program_and_the_timeouts_of_the_url() {
    let name: String =
        connect(&settings(&[])).await.unwrap().query_one("SHOW application_name", &[]).await.unwrap().get(0);
    assert!(name.starts_with("orderflow-integration"), "{name}");
    let bed = Testbed::new("session").await;
    let (user, password) = bed.database.credentials();
    let file = bed.folder().join("password");
    std::fs::write(&file, password.expose_secret()).unwrap();
    let options = "options=-c%20statement_timeout%3D7s%20-c%20lock_timeout%3D3s&application_name=mine";
    let url = format!("postgres://{user}:[YOUR-PASSWORD]@{}?{options}", bed.database.place());
    let by_url = ["--db-type", "supabase", "--db-tls", "disable", "--supabase-direct-url", &url];
    let by_url = [&by_url[..], &["--supabase-password-file", file.to_str().unwrap()]].concat();
    let session = connect(&settings(&by_url)).await.unwrap();
    for (setting, expected) in [("statement_timeout", "7s"), ("lock_timeout", "3s"), ("application_name", "mine")] {
        let value: String = session.query_one(&format!("SHOW {setting}"), &[]).await.unwrap().get(0);
        assert_eq!(value, expected);
    }
}
