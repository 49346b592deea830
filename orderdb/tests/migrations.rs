//! `orderdb migrate`: what it applies, reverts and refuses.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use orderdb::migrate::lock::MIGRATION_LOCK;
use rustix::process::{Pid, Signal, kill_process};
use testbed::{Testbed, USERS, eventually};
use tokio_util::sync::CancellationToken;

use crate::program::{ORDER, count, ended, orderdb, printed, refused, run};

const TIMEOUT: Duration = Duration::from_secs(60);
const APPLIED: &str = "SELECT count(*) FROM __diesel_schema_migrations";
const TABLES: &str = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename <> \
                      '__diesel_schema_migrations'";

/// A copy of the built-in migrations, which a test adds its own to.
fn folder(bed: &Testbed) -> PathBuf {
    let folder = bed.folder().join("migrations");
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/migrations");
    for migration in fs::read_dir(built_in).unwrap().map(Result::unwrap) {
        let copy = folder.join(migration.file_name());
        fs::create_dir_all(&copy).unwrap();
        for file in ["up.sql", "down.sql"] {
            fs::copy(migration.path().join(file), copy.join(file)).unwrap();
        }
    }
    folder
}

fn add(folder: &Path, name: &str, up: &str, down: &str) {
    let migration = folder.join(name);
    fs::create_dir_all(&migration).unwrap();
    fs::write(migration.join("up.sql"), up).unwrap();
    fs::write(migration.join("down.sql"), down).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_go_up_and_down_and_rows_are_dropped_only_after_confirmation() {
    let bed = Testbed::new("up_and_down").await;
    let name = bed.database.database();
    let status = printed(&bed, &["migrate", "status"]).await;
    assert!(status.matches("applied").count() == 4 && !status.contains("missing"), "{status}");
    // The tables and columns of these have no row and no value yet.
    printed(&bed, &["migrate", "down"]).await;
    printed(&bed, &["migrate", "down"]).await;
    printed(&bed, &["migrate", "down", "--yes-destroy", name]).await;
    for (arguments, expected) in [
        (&[][..], format!("This destroys table users with {USERS} rows, table products with 1100 rows, in")),
        (&[], format!("--yes-destroy {name}")),
        (&["--yes-destroy", "other"], "not other".to_owned()),
    ] {
        let log = refused(&bed, &[&["migrate", "down"], arguments].concat()).await;
        assert!(log.contains(&expected) && log.contains("Nothing was changed") | log.contains("nothing was"), "{log}");
    }
    assert_eq!(count(&bed, "SELECT count(*) FROM users").await, USERS as i64);
    printed(&bed, &["migrate", "down", "--yes-destroy", name]).await;
    let status = run(&bed, &["migrate", "status"]).await;
    assert!(status.code == Some(3) && status.stdout.matches("missing").count() == 4, "{}", status.stdout);
    assert!(refused(&bed, &["seed"]).await.contains("orderdb migrate up"));
    assert!(refused(&bed, &["migrate", "down"]).await.contains("nothing to revert"));
    assert_eq!(printed(&bed, &["migrate", "up"]).await.matches("applied ").count(), 4);
    // An empty variable is that of a template, and counts as not set.
    let mut again = orderdb(&bed, &["migrate", "up"]);
    again.env("ORDERDB_MIGRATIONS", "");
    assert!(ended(again).await.stdout.contains("nothing to do"));
}

#[tokio::test(flavor = "multi_thread")]
async fn up_stops_after_a_version_and_a_rollback_reverts_several() {
    let bed = Testbed::new("up_to").await;
    let name = bed.database.database();
    let confirmed = ["--yes-destroy", name];
    let reverted = printed(&bed, &[&["migrate", "rollback", "3"][..], &confirmed].concat()).await;
    assert!(reverted.find("time_attribute_updates") < reverted.find("number_cache_rounds"), "{reverted}");
    assert_eq!((count(&bed, APPLIED).await, count(&bed, TABLES).await), (1, 3));
    let log = refused(&bed, &["migrate", "rollback", "2"]).await;
    assert!(log.contains("has fewer applied migrations than 2: 1."), "{log}");
    let unknown = run(&bed, &["migrate", "up", "--to", "2026-11-23"]).await;
    assert!(unknown.code == Some(2) && unknown.stderr.contains("2026-11-25-000000_time"), "{}", unknown.stderr);
    let applied = printed(&bed, &["migrate", "up", "--to", "20261122000000"]).await;
    assert_eq!((applied.as_str(), count(&bed, APPLIED).await), ("applied 2026-11-22-000000_number_cache_rounds\n", 2));
    let again = printed(&bed, &["migrate", "up", "--to", "2026-11-22-000000"]).await;
    assert!(again.contains("nothing to do"), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn redo_confirms_values_of_a_column_and_changes_nothing_when_it_fails() {
    let bed = Testbed::new("redo").await;
    bed.sql().await.batch_execute(ORDER).await.unwrap();
    let log = refused(&bed, &["migrate", "redo"]).await;
    assert!(
        log.contains("column orders.status_sequence with 1 value, column orders.updated_at with 1 value, in"),
        "{log}"
    );
    let redone = printed(&bed, &["migrate", "redo", "--yes-destroy", bed.database.database()]).await;
    assert_eq!(redone, "reverted and applied 2026-11-27-000000_follow_orders\n");
    let folder = folder(&bed);
    add(&folder, "2027-01-01-000000_once", "CREATE TABLE once (a int)", "DROP TABLE once");
    let folder_text = folder.to_str().unwrap();
    printed(&bed, &["migrate", "up", "--migrations", folder_text]).await;
    add(&folder, "2027-01-01-000000_once", "CREATE TABLE users (a int)", "DROP TABLE once");
    let log = refused(&bed, &["migrate", "redo", "--migrations", folder_text]).await;
    assert!(log.contains("is left as it was") && log.contains("42P07"), "{log}");
    assert_eq!(count(&bed, "SELECT count(*) FROM once").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_fails_half_way_leaves_nothing_and_says_where() {
    let bed = Testbed::new("half_way").await;
    let folder = folder(&bed);
    add(&folder, "2027-01-01-000000_first", "CREATE TABLE first (a int)", "DROP TABLE first");
    let failing = "CREATE TABLE second (a int);\nINSERT INTO second VALUES (1);\nALTER TABLE usrs ADD b int;\n";
    add(&folder, "2027-01-02-000000_second", failing, "DROP TABLE second");
    let up = ["migrate", "up", "--migrations", folder.to_str().unwrap()];
    let log = refused(&bed, &up).await;
    for expected in [
        "migration 2027-01-02-000000_second can't be applied",
        "relation \"usrs\" does not exist (SQLSTATE 42P01)",
        "Nothing of it was applied",
        "before it, 1 of 2 were applied",
    ] {
        assert!(log.contains(expected), "{log}");
    }
    assert_eq!((count(&bed, APPLIED).await, count(&bed, TABLES).await), (5, 6));
    // Those of the binary lack what the folder has.
    let log = refused(&bed, &["migrate", "up"]).await;
    assert!(log.contains("20270101000000") && log.contains("--migrations"), "{log}");
    let wrong = "CREATE TABLE second (a int);\nSELECT nothing\n  FROM second;\n";
    add(&folder, "2027-01-02-000000_second", wrong, "DROP TABLE second");
    let log = refused(&bed, &up).await;
    assert!(log.contains("at line 2, column 8, near \"nothing\""), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_can_not_end_its_transaction_not_even_when_its_revert_is_only_tried() {
    let bed = Testbed::new("no_commit").await;
    let folder = folder(&bed);
    let down = "DROP TABLE order_events, orders; COMMIT; DROP TABLE users CASCADE";
    add(&folder, "2027-01-01-000000_commit", "CREATE TABLE committed (a int)", down);
    let folder = folder.to_str().unwrap();
    printed(&bed, &["migrate", "up", "--migrations", folder]).await;
    let before = count(&bed, TABLES).await;
    let down = ["migrate", "down", "--migrations", folder, "--yes-destroy", bed.database.database()];
    let log = refused(&bed, &down).await;
    assert!(log.contains("run_in_transaction = false"), "{log}");
    assert_eq!((count(&bed, TABLES).await, count(&bed, APPLIED).await), (before, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_revert_of_a_folder_destroys_is_found_by_trying_it() {
    let bed = Testbed::new("tried").await;
    let folder = folder(&bed);
    let down =
        "TRUNCATE order_events, orders; DELETE FROM products WHERE product_id < 'P000003'; DROP TABLE \"Kept Rows\";
                UPDATE products SET stock = 0 WHERE product_id = 'P000005';
                ALTER TABLE users ALTER age TYPE bigint; ALTER TABLE users DROP name";
    add(&folder, "2027-01-01-000000_many", "CREATE TABLE \"Kept Rows\" AS SELECT 1 AS a", down);
    let folder_text = folder.to_str().unwrap();
    printed(&bed, &["migrate", "up", "--migrations", folder_text]).await;
    let log = refused(&bed, &["migrate", "down", "--migrations", folder_text]).await;
    for expected in [
        "table \"Kept Rows\" with 1 row",
        "2 rows of table products",
        "values of 1 row of table products",
        "column users.name with 1200 values",
    ] {
        assert!(log.contains(expected), "{log}");
    }
    assert!(!log.contains("of table users") && !log.contains("orders"), "rewritten or without rows: {log}");
    fs::write(folder.join("2027-01-01-000000_many/metadata.toml"), "run_in_transaction = false\n").unwrap();
    let down = folder.join("2027-01-01-000000_many/down.sql");
    fs::rename(&down, folder.join("kept.sql")).unwrap();
    let log = refused(&bed, &["migrate", "down", "--migrations", folder_text]).await;
    assert!(log.contains("2027-01-01-000000_many has no down.sql"), "{log}");
    fs::rename(folder.join("kept.sql"), down).unwrap();
    let log = refused(&bed, &["migrate", "down", "--migrations", folder_text]).await;
    assert!(log.contains("is not known beforehand; the database has") && log.contains("users with 1200 rows"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_a_newer_version_is_refused_and_left_as_it_is() {
    let bed = Testbed::new("newer_schema").await;
    let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')";
    bed.sql().await.batch_execute(newer).await.unwrap();
    for action in ["up", "down", "redo"] {
        let log = refused(&bed, &["migrate", action]).await;
        assert!(log.contains("newer than this orderdb") && log.contains("99990101000000"), "{log}");
    }
    let status = run(&bed, &["migrate", "status"]).await;
    assert!(status.code == Some(3) && status.stdout.contains("applied, unknown"), "{}", status.stdout);
    let status = run(&bed, &["migrate", "status", "--output", "json"]).await.stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let states = [0, 4].map(|number| status["migrations"][number]["state"].clone());
    assert_eq!(states, ["applied", "unknown"], "{status:#}");
    assert_eq!(count(&bed, APPLIED).await, 5);
}

/// Inserts orders until `stop`, and returns the longest time that one took, and their number.
async fn insert_until(bed: &Testbed, stop: CancellationToken) -> (Duration, i64) {
    let (sql, mut longest, mut inserted) = (bed.sql().await, Duration::ZERO, 0_i64);
    let insert = "INSERT INTO orders (order_id, user_id, product_id, quantity, total_amount, shipping_cost, \
                  discount_amount, payment_method, status, category, user_region, user_gender, user_age_group, \
                  created_at) VALUES ('new-' || $1::bigint, 'U00000001', 'P000001', 1, 1, 0, 0, 'card', 'paid', '', \
                  '', 'M', '', now())";
    while !stop.is_cancelled() {
        let began = Instant::now();
        sql.execute(insert, &[&inserted]).await.unwrap();
        longest = longest.max(began.elapsed());
        inserted += 1;
    }
    (longest, inserted)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_histories_are_added_to_a_full_table_while_orders_are_inserted_and_no_insert_waits_for_long() {
    let bed = Testbed::new("full_table").await;
    printed(&bed, &["migrate", "down"]).await;
    let full = "INSERT INTO orders SELECT 'old-' || n, 'U00000001', 'P000001', 1, 1, 0, 0, 'card', 'paid', '', '', 'M', \
                '', now() FROM generate_series(1, 200000) n";
    bed.sql().await.batch_execute(full).await.unwrap();
    let file = async || count(&bed, "SELECT pg_relation_filenode('orders')::bigint").await;
    let before = file().await;
    let stop = CancellationToken::new();
    let migrate = async {
        // The writer is at work before the lock is asked for.
        let written = "SELECT count(*) FROM orders WHERE order_id LIKE 'new-%'";
        let grows = async |than: i64| {
            eventually("orders are inserted", TIMEOUT, async || count(&bed, written).await > than).await;
            count(&bed, written).await
        };
        let inserted = grows(0).await;
        printed(&bed, &["migrate", "up"]).await;
        let unchanged = "SELECT count(*) FROM orders WHERE status_sequence = 0 AND updated_at <= now()";
        assert!(count(&bed, unchanged).await > 200_000);
        let inserted = grows(inserted).await;
        assert_eq!(file().await, before, "the table is not rewritten");
        printed(&bed, &["migrate", "down", "--yes-destroy", bed.database.database()]).await;
        grows(inserted).await;
        stop.cancel();
    };
    let ((longest, inserted), ()) = tokio::join!(insert_until(&bed, stop.clone()), migrate);
    assert!(longest < Duration::from_secs(1), "an insert waited for {longest:?}");
    assert_eq!((file().await, count(&bed, "SELECT count(*) FROM orders").await), (before, 200_000 + inserted));
    printed(&bed, &["migrate", "up"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_a_migration_that_waits_for_a_lock_and_nothing_of_it_is_left() {
    let bed = Testbed::new("ctrl_c").await;
    let (other, waiting) = (bed.sql().await, "SELECT count(*) FROM pg_locks WHERE NOT granted");
    for (locked, arguments) in [
        (format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"), &["migrate", "up"][..]),
        // Its revert locks the history first, and waits for the orders.
        ("SELECT FROM orders".to_owned(), &["migrate", "down", "--yes-destroy", bed.database.database()]),
    ] {
        other.batch_execute(&format!("BEGIN; {locked}")).await.unwrap();
        let child = orderdb(&bed, arguments).spawn().unwrap();
        let waiting =
            format!("{waiting} AND database = (SELECT oid FROM pg_database WHERE datname = current_database())");
        eventually("it waits", TIMEOUT, async || count(&bed, &waiting).await > 0).await;
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && log.contains("interrupted"), "{log}");
        eventually("it waits no more", TIMEOUT, async || count(&bed, &waiting).await == 0).await;
        other.batch_execute("ROLLBACK").await.unwrap();
    }
    assert_eq!(count(&bed, APPLIED).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generated_migration_has_both_files_and_a_name_only_once() {
    let bed = Testbed::new("generate").await;
    let folder = bed.folder().join("new");
    let generate = |name: &str| {
        let mut generate = orderdb(&bed, &["migrate", "generate", name]);
        // It needs no database.
        generate.env("ORDERDB_MIGRATIONS", &folder).env("DATABASE_URL", "mysql://nowhere");
        generate
    };
    let missing = ended(generate("add_coupons")).await;
    assert!(missing.code == Some(2) && missing.stderr.contains("is no folder"), "{}", missing.stderr);
    fs::create_dir(&folder).unwrap();
    for name in ["add_coupons", "add_stores"] {
        let generated = ended(generate(name)).await;
        let path = PathBuf::from(generated.stdout.trim());
        assert!(path.join("up.sql").is_file() && path.join("down.sql").is_file(), "{}", generated.stderr);
        let (date, rest) = path.file_name().unwrap().to_str().unwrap().split_at("2026-11-27-120000".len());
        assert!(date.starts_with("20") && rest == format!("_{name}"), "{path:?}");
    }
    for (name, expected) in [("add_coupons", "choose another name"), ("Add Coupons", "lowercase letters")] {
        let refused = ended(generate(name)).await;
        assert!(refused.code == Some(2) && refused.stderr.contains(expected), "{}", refused.stderr);
    }
    let mut outside = orderdb(&bed, &["migrate", "generate", "anything"]);
    let refused = ended({
        outside.current_dir(bed.folder());
        outside
    })
    .await;
    assert!(refused.code == Some(2) && refused.stderr.contains("--migrations"), "{}", refused.stderr);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
}
