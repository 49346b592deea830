//! What a migration and a seed wait for, for how long, and what stops them.

use std::{
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use orderdb::migrate::lock::MIGRATION_LOCK;
use rustix::{
    fs::OFlags,
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};
use shared::database::connect;
use testbed::{Testbed, eventually};
use tokio_postgres::Client;

const TIMEOUT: Duration = Duration::from_secs(60);
const ORDERDB: &str = env!("CARGO_BIN_EXE_orderdb");

/// Starts `orderdb` on a database of the test's server.
fn start(bed: &Testbed, database: &str, arguments: &[&str]) -> Child {
    let mut orderdb = Command::new(ORDERDB);
    orderdb.args(arguments).envs(bed.environment()).env("POSTGRES_DB", database).stdin(Stdio::null());
    orderdb.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

async fn end(child: Child) -> Output {
    tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap()
}

async fn count(sql: &Client, query: &str) -> i64 {
    sql.query_one(query, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_that_are_started_together_run_one_after_the_other_and_all_succeed() {
    let bed = Testbed::new("migrate_together").await;
    let empty = format!("{}_empty", bed.database.database());
    bed.sql().await.batch_execute(&format!("CREATE DATABASE \"{empty}\"")).await.unwrap();
    let sql = connect(&bed.database.with_database(&empty)).await.unwrap();
    sql.execute("SELECT pg_advisory_lock($1)", &[&MIGRATION_LOCK]).await.unwrap();
    let children: Vec<Child> = (0..4).map(|_| start(&bed, &empty, &["migrate", "up"])).collect();
    let waiting = "SELECT count(*) FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = 'advisory'";
    eventually("all wait", TIMEOUT, async || count(&sql, waiting).await == 4).await;
    sql.execute("SELECT pg_advisory_unlock($1)", &[&MIGRATION_LOCK]).await.unwrap();
    let mut applied = 0;
    for child in children {
        let output = end(child).await;
        assert!(output.status.success(), "{output:?}");
        applied += String::from_utf8_lossy(&output.stdout).matches("applied ").count();
    }
    let all = count(&sql, "SELECT count(*) FROM __diesel_schema_migrations").await;
    assert!(all > 0 && applied == all as usize, "{applied} of {all}: each is applied once");
    drop(sql);
    bed.sql().await.batch_execute(&format!("DROP DATABASE \"{empty}\" WITH (FORCE)")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_and_a_migration_give_up_on_a_table_that_stays_locked() {
    let bed = Testbed::new("stays_locked").await;
    let (other, sql) = (bed.sql().await, bed.sql().await);
    for (lock, arguments) in [
        ("LOCK TABLE users", &["seed"][..]),
        ("LOCK TABLE products", &["seed", "--if-empty"]),
        ("LOCK TABLE __diesel_schema_migrations", &["migrate", "down"]),
        ("LOCK TABLE __diesel_schema_migrations", &["migrate", "status"]),
    ] {
        other.batch_execute(&format!("BEGIN; {lock}")).await.unwrap();
        let arguments = [arguments, &["--statement-deadline", "300ms"]].concat();
        let output =
            tokio::time::timeout(TIMEOUT, end(start(&bed, bed.database.database(), &arguments))).await.unwrap();
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {log}");
        assert!(log.contains("within 300ms"), "{arguments:?}: {log}");
        // The statement is cancelled: it does not wait for the lock any more.
        let waiting = "SELECT count(*) FROM pg_stat_activity \
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        eventually("nothing waits", Duration::from_secs(5), async || count(&sql, waiting).await == 0).await;
        other.batch_execute("ROLLBACK").await.unwrap();
    }
}

/// Waits until a live seed adds rows.
async fn rows_are_added(sql: &Client) {
    let before = count(sql, "SELECT count(*) FROM users").await;
    eventually("rows are added", TIMEOUT, async || count(sql, "SELECT count(*) FROM users").await > before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_that_goes_away_stops_a_program_gracefully() {
    let bed = Testbed::new("terminal_gone").await;
    let sql = bed.sql().await;
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let path = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    let other_end = OpenOptions::new().read(true).write(true).custom_flags(OFlags::NOCTTY.bits() as i32).open(path);
    let other_end = other_end.unwrap();
    // In a session of its own, whose controlling terminal is this one.
    let mut setsid = Command::new("setsid");
    setsid.args(["--ctty", ORDERDB, "seed", "--live", "--users", "1", "--products", "1"]).envs(bed.environment());
    setsid.stdin(other_end.try_clone().unwrap()).stdout(other_end.try_clone().unwrap()).stderr(other_end);
    let mut child = setsid.spawn().unwrap();
    drop(setsid);
    rows_are_added(&sql).await;
    let pid = Pid::from_child(&child);
    drop(terminal);
    // A shell that ends with its terminal sends a second one.
    kill_process(pid, Signal::HUP).unwrap();
    let status = tokio::task::spawn_blocking(move || child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_started_by_nohup_outlives_its_terminal() {
    let bed = Testbed::new("nohup").await;
    let sql = bed.sql().await;
    let mut nohup = Command::new("nohup");
    nohup.args([ORDERDB, "seed", "--live", "--users", "1", "--products", "1"]).envs(bed.environment());
    let child = nohup.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_child(&child);
    rows_are_added(&sql).await;
    kill_process(pid, Signal::HUP).unwrap();
    rows_are_added(&sql).await;
    kill_process(pid, Signal::TERM).unwrap();
    let output = end(child).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_the_output_that_ends_early_is_no_error() {
    let bed = Testbed::new("closed_stdout").await;
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut orderdb = Command::new(ORDERDB);
    orderdb.args(["migrate", "status"]).envs(bed.environment()).stdin(Stdio::null()).stdout(writer);
    let output = end(orderdb.stderr(Stdio::piped()).spawn().unwrap()).await;
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr)), (Some(141), "".into()));
}
