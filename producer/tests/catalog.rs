//! `producer catalog` as a program.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::{
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
};

use testbed::{PRODUCTS, Testbed, USERS};

/// The seed of a test's database.
const SEED: &str = "7";

fn catalog(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_producer"));
    command.arg("catalog").args(arguments);
    command
}

/// All users and products, without the columns that the table itself fills.
async fn rows(bed: &Testbed) -> Vec<String> {
    let sql = bed.sql().await;
    let mut rows = Vec::new();
    for table in ["users", "products"] {
        let query = format!("SELECT (to_jsonb(t) - 'created_at' - 'last_cached_at')::text FROM {table} t ORDER BY 1");
        rows.extend(sql.query(&query, &[]).await.unwrap().iter().map(|row| row.get::<_, String>(0)));
    }
    rows
}

#[tokio::test]
async fn the_printed_sql_fills_an_empty_database_like_orderdb_seed() {
    let bed = Testbed::new("catalog").await;
    let seeded = rows(&bed).await;
    assert_eq!(seeded.len() as u64, USERS + PRODUCTS);
    let (users, products) = (USERS.to_string(), PRODUCTS.to_string());
    let arguments = ["--output", "sql", "--users", &users, "--products", &products, "--catalog-seed", SEED];
    let output = catalog(&arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let sql = bed.sql().await;
    sql.batch_execute("TRUNCATE users, products CASCADE").await.unwrap();
    // The second time, every row exists already.
    for _ in 0..2 {
        sql.batch_execute(&printed).await.unwrap();
        assert_eq!(rows(&bed).await, seeded);
    }
}

#[test]
fn a_closed_pipe_ends_the_output_without_an_error() {
    let mut command = catalog(&["--output", "jsonl", "--users", "1000000"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with("{\"user_id\":\"U00000001\""), "{first}");
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!((child.wait().unwrap().code(), errors.as_str()), (Some(0), ""));
}

#[test]
fn options_of_a_run_and_the_subcommand_exclude_each_other() {
    for (arguments, expected) in [
        (&["--rate", "1", "catalog", "--output", "sql"][..], "cannot be used with"),
        (&["catalog", "--output", "sql", "--rate", "1"], "unexpected argument '--rate'"),
        (&["catalog"], "--output"),
        (&["--count", "1"], "--rate"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_producer")).args(arguments).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        assert!(message.contains(expected), "{arguments:?}: {message}");
    }
}
