//! PgBouncer in transaction mode, with two connections to PostgreSQL.

use std::{
    process::{Command, Output},
    time::Duration,
};

use clap::Parser;
use diesel::{sql_query, sql_types::Text};
use futures_util::future::join_all;
use shared::database::{
    DatabaseArgs, DatabaseSettings, SqlError, StatementClient, StatementMode, connect, connect_session, shares_sessions,
};
use testbed::Testbed;

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    database: DatabaseArgs,
}

/// The test's database as one at Supabase, with further arguments.
fn supabase(bed: &Testbed, more: &[&str]) -> DatabaseSettings {
    let direct = bed.supabase()["SUPABASE_DIRECT_URL"].clone();
    settings(bed, &[&["--supabase-direct-url", &direct], more].concat())
}

/// The same by its pooler alone.
fn settings(bed: &Testbed, more: &[&str]) -> DatabaseSettings {
    let variables = bed.supabase();
    let password = bed.folder().join("password");
    std::fs::write(&password, &variables["SUPABASE_PASSWORD"]).unwrap();
    let flags = [
        ("--db-type", "supabase"),
        ("--supabase-pooler-url", &variables["SUPABASE_POOLER_URL"]),
        ("--supabase-ca-cert", &variables["SUPABASE_CA_CERT"]),
        ("--supabase-password-file", password.to_str().unwrap()),
    ];
    let arguments = flags.iter().flat_map(|(flag, value)| [*flag, value]).chain(more.iter().copied());
    Settings::parse_from(["test"].into_iter().chain(arguments)).database.settings().unwrap()
}

/// Runs statements of its own many times. Returns how many of them gave another client's row.
async fn run_own_statements(settings: &DatabaseSettings, client: usize) -> Result<usize, SqlError> {
    let timeout = Duration::from_secs(20);
    let mut connection = StatementClient::connect(settings, StatementMode::Prepared, timeout).await.unwrap();
    let mut wrong = 0;
    for run in 0..50 {
        let query = sql_query(format!("SELECT 'client {client} ' || $1")).bind::<Text, _>(run.to_string());
        let row: String = connection.query_one(&query).await?.get(0);
        wrong += usize::from(row != format!("client {client} {run}"));
    }
    Ok(wrong)
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_share_two_connections_and_each_gets_its_own_rows() {
    let bed = Testbed::new("pooler_rows").await;
    for detected_or_set in [&[][..], &["--db-pooler", "transaction"]] {
        let settings = supabase(&bed, detected_or_set);
        let results = join_all((0..8).map(|client| run_own_statements(&settings, client))).await;
        assert!(results.iter().all(|result| matches!(result, Ok(0))), "{results:?}");
    }
    let backends = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid() \
         AND backend_type = 'client backend'";
    let backends: i64 = bed.sql().await.query_one(backends, &[&bed.database.database()]).await.unwrap().get(0);
    assert_eq!(backends, 2);
    // Otherwise they would not get them.
    let settings = supabase(&bed, &["--db-pooler", "none"]);
    let results = join_all((0..8).map(|client| run_own_statements(&settings, client))).await;
    assert!(results.iter().any(|result| !matches!(result, Ok(0))), "{results:?}");
}

#[tokio::test]
async fn a_pooler_is_detected_with_and_without_tls() {
    let bed = Testbed::new("pooler_detected").await;
    let is_shared =
        async |settings: &DatabaseSettings| shares_sessions(&connect(settings).await.unwrap(), settings).await.unwrap();
    assert!(!is_shared(&bed.database).await);
    for (tls, pooler, expected) in [
        ("verify-full", &[][..], true),
        ("disable", &[], true),
        ("disable", &["--db-pooler", "session"], false),
        ("disable", &["--db-pooler", "none"], false),
    ] {
        let settings = supabase(&bed, &[&["--db-tls", tls], pooler].concat());
        assert_eq!(is_shared(&settings).await, expected, "{tls} {pooler:?}");
        assert!(!is_shared(settings.direct()).await, "{tls} {pooler:?}");
    }
}

#[tokio::test]
async fn a_session_is_that_of_the_server_and_is_refused_at_a_pooler_alone() {
    let bed = Testbed::new("pooler_session").await;
    let session = connect_session(&supabase(&bed, &[])).await.unwrap();
    session.batch_execute("SET application_name = 'kept'").await.unwrap();
    let name: String = session.query_one("SHOW application_name", &[]).await.unwrap().get(0);
    assert_eq!(name, "kept");
    for set_or_detected in [&["--db-pooler", "transaction"][..], &[]] {
        let error = connect_session(&settings(&bed, set_or_detected)).await.err().unwrap().to_string();
        assert!(error.contains("SUPABASE_DIRECT_URL") && error.contains("DB_POOLER=session"), "{error}");
    }
}

/// Runs `orderdb` as with a database at Supabase, without its direct URL if `alone`.
async fn orderdb(bed: &Testbed, alone: bool, arguments: &[&str]) -> Output {
    let mut orderdb = Command::new(env!("CARGO_BIN_EXE_orderdb"));
    orderdb.args(arguments).envs(bed.environment()).envs(bed.supabase());
    if alone {
        orderdb.env_remove("SUPABASE_DIRECT_URL");
    }
    tokio::task::spawn_blocking(move || orderdb.output()).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_and_seeds_use_the_server_itself() {
    let bed = Testbed::new("pooler_migrations").await;
    for arguments in [&["migrate", "up"][..], &["migrate", "status"], &["seed", "--if-empty"]] {
        let output = orderdb(&bed, false, arguments).await;
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        let output = orderdb(&bed, true, arguments).await;
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {log}");
        assert!(log.contains("set DATABASE_DIRECT_URL"), "{arguments:?}: {log}");
    }
    let check = orderdb(&bed, true, &["check", "--output", "json"]).await;
    let findings = String::from_utf8_lossy(&check.stdout);
    assert!(findings.contains("is a pooler in transaction mode"), "{findings}");
}
