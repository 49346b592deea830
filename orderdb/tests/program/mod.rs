//! Runs `orderdb` on the database of a test.

use std::process::{Command, Output, Stdio};

use testbed::Testbed;

/// Inserts an order.
pub const ORDER: &str =
    "INSERT INTO orders VALUES ('a', 'U00000001', 'P000001', 1, 1, 0, 0, 'card', 'paid', '', '', '', '', now())";

pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// `orderdb` without a terminal.
pub fn orderdb(bed: &Testbed, arguments: &[&str]) -> Command {
    let mut orderdb = Command::new(env!("CARGO_BIN_EXE_orderdb"));
    orderdb.args(arguments).envs(bed.environment());
    orderdb.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    orderdb
}

pub async fn run(bed: &Testbed, arguments: &[&str]) -> Ended {
    ended(orderdb(bed, arguments)).await
}

pub async fn ended(mut command: Command) -> Ended {
    tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap().into()
}

/// Runs it, and expects exit code 0.
pub async fn printed(bed: &Testbed, arguments: &[&str]) -> String {
    let ended = run(bed, arguments).await;
    assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
    ended.stdout
}

/// Runs it, and expects exit code 1. Returns what is on stderr.
pub async fn refused(bed: &Testbed, arguments: &[&str]) -> String {
    let ended = run(bed, arguments).await;
    assert_eq!(ended.code, Some(1), "{arguments:?}: {}", ended.stderr);
    ended.stderr
}

/// The number that `query` returns.
pub async fn count(bed: &Testbed, query: &str) -> i64 {
    bed.sql().await.query_one(query, &[]).await.unwrap().get(0)
}
