//! The commands `status` and `reset`, run as programs.

use std::process::{Command, Output, Stdio};

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
