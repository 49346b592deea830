//! The commands `status` and `reset`, run as programs.

use std::process::{Command, Output, Stdio};

use redis::AsyncCommands;
use secrecy::ExposeSecret;
use testbed::Testbed;

use super::{MARKED, SIZE, cached, count};

/// Runs the program without a terminal.
fn run(bed: &Testbed, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cache-worker"));
    command.args(arguments).envs(bed.environment()).stdin(Stdio::null()).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_for_a_database_with_a_name_marks_its_rows_and_no_others() {
    let (bed, other) = (Testbed::new("named_round").await, Testbed::new("named_round_other").await);
    let (user, password) = other.database.credentials();
    let url = format!("postgres://{user}:{}@{}", password.expose_secret(), other.database.place());
    let mut command = Command::new(env!("CARGO_BIN_EXE_cache-worker"));
    command.args(["--once", "--database", "other"]).envs(bed.environment()).env("DATABASE_URL_OTHER", url);
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!((count(&bed, MARKED).await, count(&other, MARKED).await), (0, SIZE as i64));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_distinguishes_a_fresh_cache_from_one_that_is_not() {
    let bed = Testbed::new("status").await;
    let status = || {
        let output = run(&bed, &["status", "--output", "json"]);
        let printed: serde_json::Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(&output)));
        (output.status.code(), printed)
    };
    let (code, before) = status();
    assert_eq!((code, &before["fresh"], &before["cached_users"]), (Some(3), &false.into(), &0.into()));
    cached(&bed).await;
    let (code, after) = status();
    assert_eq!((code, &after["fresh"], &after["cached_products"]), (Some(0), &true.into(), &SIZE.into()));
    let users = &after["tables"][0];
    assert_eq!((&users["name"], &users["rows"], &users["never_cached"]), (&"users".into(), &1_200.into(), &200.into()));
    assert_eq!(
        (&after["last_round"]["new_users"], &after["last_round"]["interval_ms"]),
        (&SIZE.into(), &50_000.into())
    );

    let overdue = "UPDATE cache_rounds SET due_at = now() - interval '51 s'";
    bed.sql().await.batch_execute(overdue).await.unwrap();
    assert_eq!(status().0, Some(3));
    let text = run(&bed, &["status"]);
    assert!(String::from_utf8_lossy(&text.stdout).contains("overdue"), "{text:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_needs_the_name_of_the_database_and_resets_the_named_table() {
    let bed = Testbed::new("reset").await;
    cached(&bed).await;
    let name = bed.database.database();
    for (refused, message) in [
        (&["reset"][..], format!("{SIZE} users and {SIZE} products")),
        (&["reset", "--users"], format!("--yes-destroy {name}")),
        (&["reset", "--yes-destroy", "other"], "not other".to_owned()),
    ] {
        let output = run(&bed, refused);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(&message), "{refused:?}: {}", stderr(&output));
    }
    assert_eq!(count(&bed, MARKED).await, SIZE as i64, "nothing is changed");
    let products = "SELECT count(last_cached_at) FROM products";
    for (table, left) in [("--users", SIZE as i64), ("--products", 0)] {
        let output = run(&bed, &["reset", table, "--yes-destroy", name]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!((count(&bed, MARKED).await, count(&bed, products).await), (0, left));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_an_earlier_version_are_reported_with_the_command_that_deletes_them() {
    let bed = Testbed::new("earlier_keys").await;
    let earlier = bed.cache.keys_of_earlier_versions();
    let mut redis = bed.redis().await;
    let () = redis.hset(&earlier[0], "U1", "{}").await.unwrap();
    let warned = run(&bed, &["--once"]);
    let () = redis.del(&earlier[0]).await.unwrap();
    assert!(warned.status.success(), "{}", stderr(&warned));
    assert!(stderr(&warned).contains(&format!("run redis-cli del {}", earlier.join(" "))), "{}", stderr(&warned));
    let without = run(&bed, &["--once"]);
    assert!(without.status.success() && !stderr(&without).contains("earlier version"), "{}", stderr(&without));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_on_the_command_line_or_in_a_bad_url_is_not_printed() {
    let bed = Testbed::new("secrets").await;
    for (flag, value, expected) in [
        ("--postgres-password", "hunter2", "POSTGRES_PASSWORD"),
        ("--rds-password", "hunter2", "RDS_PASSWORD"),
        ("--supabase-password", "hunter2", "SUPABASE_PASSWORD"),
        ("--database-url", "postgres://me:hunter2@127.0.0.1:9/db", "DATABASE_URL"),
        ("--redis-url", "redis://me:hunter2@127.0.0.1:9", "REDIS_URL"),
    ] {
        for arguments in [&["--once", flag, value][..], &["--once", &format!("{flag}={value}")]] {
            let refused = run(&bed, arguments);
            assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
            assert!(stderr(&refused).contains(&format!("{expected} ")), "{}", stderr(&refused));
            assert!(!stderr(&refused).contains("hunter2"), "{}", stderr(&refused));
        }
    }
    for (variable, value) in [
        ("DATABASE_URL", "mysql://me:hunter2@127.0.0.1/db?a=b"),
        ("DATABASE_URL", "postgres://me:hunter2@127.0.0.1/db?sslmode=hunter2"),
        ("REDIS_URL", "http//me:hunter2@127.0.0.1"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cache-worker"));
        let refused = command.arg("--once").envs(bed.environment()).env(variable, value).output().unwrap();
        assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
        assert!(stderr(&refused).contains(&format!("{variable} is not a")), "{}", stderr(&refused));
        assert!(!stderr(&refused).contains("hunter2"), "{}", stderr(&refused));
    }
}

/// The server accepts the right password only, so the one of the file was used.
#[tokio::test(flavor = "multi_thread")]
async fn the_password_of_the_database_may_be_in_a_file() {
    let bed = Testbed::new("password_file").await;
    let environment = bed.environment();
    let password = &environment.iter().find(|(name, _)| name == "POSTGRES_PASSWORD").unwrap().1;
    let file = bed.folder().join("password");
    for (content, code) in [(format!("{password}\n"), Some(0)), ("wrong".to_owned(), Some(1))] {
        std::fs::write(&file, content).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_cache-worker"));
        command.args(["--once", "--postgres-password-file"]).arg(&file).envs(environment.clone());
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), code, "{}", stderr(&output));
    }
}

/// As systemd passes it with `LoadCredential=`. The variable has priority over it.
#[tokio::test(flavor = "multi_thread")]
async fn the_password_of_the_database_may_be_a_credential() {
    let bed = Testbed::new("credential").await;
    let environment = bed.environment();
    let password = &environment.iter().find(|(name, _)| name == "POSTGRES_PASSWORD").unwrap().1;
    let once = |credential: &[u8], variable: &str| {
        std::fs::write(bed.folder().join("POSTGRES_PASSWORD"), credential).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_cache-worker"));
        command.arg("--once").envs(bed.environment()).env("CREDENTIALS_DIRECTORY", bed.folder());
        command.env("POSTGRES_PASSWORD", variable).output().unwrap()
    };
    let wrong = b"wrong".as_slice();
    for (credential, variable, code) in [
        (password.as_bytes(), "", Some(0)),
        (wrong, "", Some(1)),
        (wrong, password.as_str(), Some(0)),
        (b"".as_slice(), "", Some(1)),
    ] {
        let output = once(credential, variable);
        assert_eq!(output.status.code(), code, "{}", stderr(&output));
    }
    let unreadable = once(b"\xff", "");
    assert_eq!(unreadable.status.code(), Some(2), "{}", stderr(&unreadable));
    assert!(stderr(&unreadable).contains("/POSTGRES_PASSWORD can't be read"), "{}", stderr(&unreadable));
}
