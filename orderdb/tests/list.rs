//! What `orderdb list` prints about each database.

use std::{
    net::TcpListener,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use testbed::Testbed;

async fn list(bed: &Testbed, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut orderdb = Command::new(env!("CARGO_BIN_EXE_orderdb"));
    orderdb.arg("list").args(arguments).envs(bed.environment()).envs(variables.iter().copied()).stdin(Stdio::null());
    tokio::task::spawn_blocking(move || orderdb.output()).await.unwrap().unwrap()
}

fn rows(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{output:?}"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_listed_with_what_it_is() {
    let bed = Testbed::new("list_one").await;
    let output = list(&bed, &["--output", "json"], &[]).await;
    assert!(output.status.success(), "{output:?}");
    let [row] = &rows(&output)[..] else { panic!("{output:?}") };
    assert_eq!((&row["name"], &row["database"]), (&"(default)".into(), &bed.name.as_str().into()));
    assert_eq!((&row["state"], &row["role"], &row["error"]), (&"reachable".into(), &"primary".into(), &Value::Null));
    assert!(row["version"].as_str().unwrap().starts_with(char::is_numeric), "{row}");
    assert!(row["size_bytes"].as_i64().unwrap() > 1 << 20 && row["latency_ms"].as_f64().unwrap() > 0.0, "{row}");
    assert!(row["migrations"].as_i64().unwrap() > 0 && row["migrations_missing"] == 0, "{row}");
    let sql = bed.sql().await;
    let changed = format!(
        "INSERT INTO __diesel_schema_migrations (version) VALUES ('99999999999999');
         DELETE FROM __diesel_schema_migrations WHERE version = (SELECT min(version) FROM __diesel_schema_migrations);
         ALTER DATABASE \"{}\" SET default_transaction_read_only = on",
        bed.name
    );
    sql.batch_execute(&changed).await.unwrap();
    let output = list(&bed, &["--output", "json"], &[]).await;
    let row = &rows(&output)[0];
    assert_eq!((&row["migrations_missing"], &row["migrations_unknown"]), (&1.into(), &1.into()), "{row}");
    assert_eq!(row["role"], "read-only");
    let output = list(&bed, &[], &[]).await;
    let printed = String::from_utf8_lossy(&output.stdout);
    let known = row["migrations"].as_i64().unwrap();
    let expected = format!("{} of {known} applied, and 1 newer", known - 1);
    assert!(printed.contains(&expected) && printed.contains("read-only"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_host_does_not_hold_the_others_and_has_its_error() {
    let bed = Testbed::new("list_silent").await;
    // It accepts connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("postgres://me:hunter2@{}/db", silent.local_addr().unwrap()) + "?connect_timeout=1";
    let variables = [
        ("DATABASE_URL_SILENT", silent.as_str()),
        ("DATABASE_URL_SILENT2", &silent),
        ("RDS_DOWN_URL", "postgres://me:hunter2@127.0.0.1:1/db"),
        ("DATABASE_URL_BAD", "mysql://me:hunter2@127.0.0.1/db"),
    ];
    let began = Instant::now();
    let output = list(&bed, &["--output", "csv"], &variables).await;
    assert!(began.elapsed() < Duration::from_secs(7), "both are waited for at once: {:?}", began.elapsed());
    assert_eq!(output.status.code(), Some(3));
    let printed = String::from_utf8_lossy(&output.stdout);
    let names: Vec<&str> = printed.lines().map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(names, ["name", "(default)", "bad", "down", "silent", "silent2"]);
    for (name, expected) in [
        ("(default)", "reachable"),
        ("bad", "begins with mysql://"),
        ("down", "refused"),
        ("silent,", "no answer in time"),
    ] {
        let row = printed.lines().find(|line| line.starts_with(name)).unwrap();
        assert!(row.contains(expected), "{row}");
    }
    assert!(!format!("{output:?}").contains("hunter2"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_that_can_not_be_written_is_an_error() {
    let bed = Testbed::new("list_full").await;
    let mut orderdb = Command::new(env!("CARGO_BIN_EXE_orderdb"));
    orderdb.arg("list").envs(bed.environment()).stdin(Stdio::null()).stderr(Stdio::piped());
    orderdb.stdout(std::fs::File::create("/dev/full").unwrap());
    let output = tokio::task::spawn_blocking(move || orderdb.output()).await.unwrap().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "error: stdout can't be written: No space left on device (os error 28)\n"
    );
}
