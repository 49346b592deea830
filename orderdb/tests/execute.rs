//! `orderdb execute`: what it prints, and what it refuses.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use testbed::{Testbed, eventually};

fn command(bed: &Testbed, arguments: &[&str]) -> Command {
    let mut orderdb = Command::new(env!("CARGO_BIN_EXE_orderdb"));
    orderdb.arg("execute").args(arguments).envs(bed.environment());
    orderdb.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    orderdb
}

async fn execute(bed: &Testbed, arguments: &[&str]) -> Output {
    let mut orderdb = command(bed, arguments);
    tokio::task::spawn_blocking(move || orderdb.output()).await.unwrap().unwrap()
}

async fn printed(bed: &Testbed, arguments: &[&str]) -> String {
    let output = execute(bed, arguments).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

async fn refused(bed: &Testbed, arguments: &[&str]) -> String {
    let output = execute(bed, arguments).await;
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{log}");
    log
}

async fn users(bed: &Testbed) -> i64 {
    bed.sql().await.query_one("SELECT count(*) FROM users", &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_any_type_are_printed_as_a_table_as_csv_and_as_json() {
    let bed = Testbed::new("execute_rows").await;
    let sql = "SELECT 7 AS number, true AS truth, 'a, \"b\"\nc' AS text, NULL::int AS nothing, ARRAY[1, 2] AS list, \
               1.50 AS price, '{\"a\": [1]}'::jsonb AS json";
    let csv = printed(&bed, &["--sql", sql, "--output", "csv"]).await;
    assert_eq!(
        csv,
        "number,truth,text,nothing,list,price,json\n7,t,\"a, \"\"b\"\"\nc\",,\"{1,2}\",1.50,\"{\"\"a\"\": [1]}\"\n"
    );
    let json: serde_json::Value =
        serde_json::from_str(&printed(&bed, &["--sql", sql, "--output", "json"]).await).unwrap();
    let expected = serde_json::json!({"number": 7, "truth": true, "text": "a, \"b\"\nc", "nothing": null,
        "list": "{1,2}", "price": "1.50", "json": {"a": [1]}});
    assert_eq!(json, expected);
    let table = printed(&bed, &["--sql", "SELECT user_id FROM users WHERE user_id < 'U00000004' ORDER BY 1"]).await;
    assert!(table.contains("U00000001") && table.contains("\n3 rows\n"), "{table}");
    let long = printed(&bed, &["--sql", "SELECT generate_series(1, 1500)"]).await;
    assert!(long.contains("1500 rows, 1000 shown"), "{}", &long[long.len() - 80..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_ends_early_ends_it_in_silence() {
    let bed = Testbed::new("execute_closed").await;
    for format in ["csv", "json", "text"] {
        // Without a reader from the start.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut orderdb = command(&bed, &["--sql", "SELECT generate_series(1, 100000)", "--output", format]);
        let output = orderdb.stdout(writer).spawn().unwrap().wait_with_output().unwrap();
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), log.as_ref()), (Some(141), ""), "{format}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_comes_from_a_file_or_from_standard_input() {
    let bed = Testbed::new("execute_file").await;
    let file = bed.folder().join("statement.sql");
    std::fs::write(&file, "-- one\nSELECT 'from a file' AS source;\n").unwrap();
    let csv = ["--output", "csv"];
    let by_file = printed(&bed, &[&["--file", file.to_str().unwrap()][..], &csv].concat()).await;
    assert_eq!(by_file, "source\nfrom a file\n");
    let mut child = command(&bed, &["--file", "-", "--output", "csv"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"SELECT 'from stdin' AS source").unwrap();
    let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "source\nfrom stdin\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_changes_without_write_whatever_the_statement_says() {
    let bed = Testbed::new("execute_read_only").await;
    let before = users(&bed).await;
    for sql in
        ["DELETE FROM users", "DROP TABLE orders", "WITH gone AS (DELETE FROM users RETURNING 1) SELECT * FROM gone"]
    {
        let log = refused(&bed, &["--sql", sql]).await;
        assert!(log.contains("25006") && log.contains("--write allows it"), "{log}");
    }
    for sql in ["COMMIT; DELETE FROM users", "SELECT 1; SELECT 2"] {
        let log = refused(&bed, &["--sql", sql]).await;
        assert!(log.contains("cannot insert multiple commands"), "{log}");
        let log = refused(&bed, &["--sql", sql, "--write"]).await;
        assert!(log.contains("cannot insert multiple commands"), "{log}");
    }
    let log = refused(&bed, &["--sql", "SET TRANSACTION READ WRITE"]).await;
    assert!(log.contains("read-write mode"), "{log}");
    assert_eq!(users(&bed).await, before);
    let changed = printed(&bed, &["--write", "--sql", "DELETE FROM users WHERE user_id = 'U00000001'"]).await;
    assert_eq!((changed.as_str(), users(&bed).await), ("1 row\n", before - 1));
    // It can't run in a transaction.
    printed(&bed, &["--write", "--sql", "VACUUM users"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_has_its_place_and_what_the_server_adds() {
    let bed = Testbed::new("execute_errors").await;
    let log = refused(&bed, &["--sql", "SELECT user_id,\n  nme FROM users"]).await;
    assert!(log.contains("SQLSTATE 42703") && log.contains("at line 2, column 3, near"), "{log}");
    let log = refused(&bed, &["--sql", "SELECT $1::int"]).await;
    assert!(log.contains("parameters"), "{log}");
    let log = refused(&bed, &["--sql", "SELECT 1 AS a, 2 AS a", "--output", "json"]).await;
    assert!(log.contains("name them with AS"), "{log}");
    let log = refused(&bed, &["--sql", "COPY users TO STDOUT"]).await;
    assert!(log.contains("use --output csv"), "{log}");
    let log = refused(&bed, &["--sql", "  "]).await;
    assert!(log.contains("there is no statement"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_ends_at_its_deadline_and_by_ctrl_c_at_the_server_as_well() {
    let bed = Testbed::new("execute_ends").await;
    let running = "SELECT count(*) FROM pg_stat_activity \
                   WHERE datname = current_database() AND query LIKE '%pg_sleep(60%' AND pid <> pg_backend_pid()";
    let sql = bed.sql().await;
    let is_running = async || sql.query_one(running, &[]).await.unwrap().get::<_, i64>(0) == 1;
    let began = Instant::now();
    let log = refused(&bed, &["--sql", "SELECT pg_sleep(60)", "--statement-deadline", "500ms"]).await;
    assert!(log.contains("no answer within 500ms") && began.elapsed() < Duration::from_secs(30), "{log}");
    eventually("it is cancelled", Duration::from_secs(20), async || !is_running().await).await;
    let child = command(&bed, &["--sql", "SELECT pg_sleep(60)"]).spawn().unwrap();
    eventually("it runs", Duration::from_secs(20), async || is_running().await).await;
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("interrupted"));
    eventually("it is cancelled", Duration::from_secs(20), async || !is_running().await).await;
}
