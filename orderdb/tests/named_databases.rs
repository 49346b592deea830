//! Databases with names: `--database` and `--all`.

use std::process::{Command, Output, Stdio};

use secrecy::ExposeSecret;
use serde_json::Value;
use shared::{
    catalog::{CatalogRow, Locale, SyntheticProducts, SyntheticUsers},
    database::{DatabaseSettings, connect},
};
use testbed::{Testbed, USERS};

/// A database that nobody serves.
const DOWN: (&str, &str) = ("RDS_DOWN_URL", "postgres://me:hunter2@127.0.0.1:1/db");

fn url(database: &DatabaseSettings) -> String {
    let (user, password) = database.credentials();
    format!("postgres://{user}:{}@{}", password.expose_secret(), database.place())
}

async fn orderdb(bed: &Testbed, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut orderdb = Command::new(env!("CARGO_BIN_EXE_orderdb"));
    orderdb.args(arguments).envs(bed.environment()).envs(variables.iter().copied()).stdin(Stdio::null());
    tokio::task::spawn_blocking(move || orderdb.output()).await.unwrap().unwrap()
}

fn text(stream: &[u8]) -> String {
    String::from_utf8_lossy(stream).into_owned()
}

/// An empty database of the test's server, which the test drops.
async fn empty_database(bed: &Testbed) -> DatabaseSettings {
    let name = format!("{}_empty", bed.name);
    bed.sql().await.batch_execute(&format!("CREATE DATABASE \"{name}\"")).await.unwrap();
    bed.database.with_database(&name)
}

async fn drop_database(bed: &Testbed, database: &DatabaseSettings) {
    let drop = format!("DROP DATABASE \"{}\" WITH (FORCE)", database.database());
    bed.sql().await.batch_execute(&drop).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_leads_to_its_database_by_flag_by_variable_and_by_env_file() {
    let (bed, other) = (Testbed::new("named_default").await, Testbed::new("named_other").await);
    let url = url(&other.database);
    let execute = ["execute", "--output", "csv", "--sql", "SELECT current_database() AS name"];
    let named = [&execute[..], &["--database", "eu-west"]].concat();
    let env_file = bed.folder().join("env");
    std::fs::write(&env_file, format!("DATABASE_URL_EU_WEST=\"{url}\"\n")).unwrap();
    let variable = ("DATABASE_URL_EU_WEST", url.as_str());
    for (arguments, variables, expected) in [
        (&execute[..], &[variable][..], &bed),
        (&named, &[variable], &other),
        (&execute, &[variable, ("ORDERFLOW_DATABASE", "eu-west")], &other),
        (&named, &[("ORDERFLOW_ENV_FILE", env_file.to_str().unwrap())], &other),
    ] {
        let output = orderdb(&bed, arguments, variables).await;
        assert_eq!(text(&output.stdout), format!("name\n{}\n", expected.name), "{}", text(&output.stderr));
    }
    let output = orderdb(&bed, &[&execute[..], &["--database", "us"]].concat(), &[variable, DOWN]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("set RDS_US_URL or DATABASE_URL_US in"), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("databases that are set: down, eu_west"), "{}", text(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_for_all_databases_goes_on_behind_one_that_is_down() {
    let bed = Testbed::new("named_all").await;
    let empty = empty_database(&bed).await;
    let url = url(&empty);
    let variables = [DOWN, ("DATABASE_URL_EMPTY", url.as_str())];
    let status = orderdb(&bed, &["migrate", "status", "--all"], &[variables[1]]).await;
    assert_eq!(status.status.code(), Some(3), "{}", text(&status.stderr));
    let migrated = orderdb(&bed, &["--all", "migrate", "up"], &variables).await;
    let (printed, log) = (text(&migrated.stdout), text(&migrated.stderr));
    assert_eq!(migrated.status.code(), Some(1), "{log}");
    let places = ["(default): ", "down: db at 127.0.0.1:1", "empty: "].map(|heading| printed.find(heading).unwrap());
    assert!(places.is_sorted(), "{printed}");
    for (name, outcome) in [("(default)", "done"), ("down", "FAILED"), ("empty", "done")] {
        let is_row = |line: &&str| line.starts_with("│") && line.contains(name) && line.contains(outcome);
        assert!(printed.lines().any(|line| is_row(&line)), "{name} {outcome}: {printed}");
    }
    assert!(log.contains("127.0.0.1:1 can't be reached") && log.contains("failed for 1 of 3 databases: down"), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
    let seeded =
        orderdb(&bed, &["seed", "--all", "--users", "7", "--products", "7", "--if-empty"], &[variables[1]]).await;
    assert!(seeded.status.success(), "{}", text(&seeded.stderr));
    let users = "SELECT count(*) FROM users";
    let count = async |database: &DatabaseSettings| -> i64 {
        connect(database).await.unwrap().query_one(users, &[]).await.unwrap().get(0)
    };
    assert_eq!((count(&bed.database).await, count(&empty).await), (USERS as i64, 7));
    drop_database(&bed, &empty).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_has_migrations_and_a_seed_of_its_own() {
    let bed = Testbed::new("named_own").await;
    let empty = empty_database(&bed).await;
    let (url, folder) = (url(&empty), bed.folder().join("databases"));
    let own = folder.join("empty/migrations");
    let copy =
        format!("mkdir -p {0} && cp -r {1}/../shared/migrations/. {0}", own.display(), env!("CARGO_MANIFEST_DIR"));
    assert!(Command::new("sh").args(["-c", &copy]).status().unwrap().success());
    std::fs::create_dir(own.join("2027-01-02-000000_add_coupons")).unwrap();
    for (file, sql) in [("up.sql", "CREATE TABLE coupons (id int)"), ("down.sql", "DROP TABLE coupons")] {
        std::fs::write(own.join("2027-01-02-000000_add_coupons").join(file), sql).unwrap();
    }
    let (mut user, mut product) =
        (SyntheticUsers::new(1, Locale::KoKr).next().unwrap(), SyntheticProducts::new(1).next().unwrap());
    (user.user_id, product.product_id) = ("own".into(), "own".into());
    let rows = [CatalogRow::User(user), CatalogRow::Product(product)].map(|row| serde_json::to_string(&row).unwrap());
    std::fs::write(folder.join("empty/seed.jsonl"), rows.join("\n")).unwrap();
    let variables = [("DATABASE_URL_EMPTY", url.as_str()), ("ORDERDB_DATABASES", folder.to_str().unwrap())];
    let migrated = orderdb(&bed, &["migrate", "up", "--all"], &variables).await;
    let printed = text(&migrated.stdout);
    assert!(migrated.status.success() && printed.matches("add_coupons").count() == 1, "{migrated:?}");
    let refused = orderdb(&bed, &["seed", "--database", "empty", "--users", "7"], &variables).await;
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(text(&refused.stderr).contains("leave out --users"), "{refused:?}");
    let seeded = orderdb(&bed, &["seed", "--database", "empty"], &variables).await;
    assert!(seeded.status.success(), "{seeded:?}");
    let users = connect(&empty).await.unwrap().query_one("SELECT string_agg(user_id, ',') FROM users", &[]).await;
    assert_eq!(users.unwrap().get::<_, &str>(0), "own");
    drop_database(&bed, &empty).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_of_all_databases_names_each_and_checks_the_other_services_once() {
    let bed = Testbed::new("named_check").await;
    let output = orderdb(&bed, &["check", "--all", "--output", "json"], &[DOWN]).await;
    assert_eq!(output.status.code(), Some(3));
    let findings: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = findings.as_array().unwrap();
    let connections = findings.iter().filter(|finding| finding["what"] == "connection");
    let connections: Vec<_> = connections
        .map(|it| [&it["service"], &it["database"], &it["state"]].map(|it| it.as_str().unwrap_or("-")))
        .collect();
    let expected = [
        ["PostgreSQL", "(default)", "ok"],
        ["PostgreSQL", "down", "failed"],
        ["Redis", "-", "ok"],
        ["Kafka", "-", "ok"],
    ];
    assert_eq!(connections, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_choice_that_makes_no_sense_is_wrong_usage() {
    let bed = Testbed::new("named_refused").await;
    for (arguments, expected) in [
        (&["migrate", "down", "--all"][..], "--all is for check"),
        (&["seed", "--live", "--all"], "--all is for check"),
        (&["seed", "--catalog", "-", "--all"], "--all is for check"),
        (&["execute", "--sql", "SELECT 1", "--all"], "--all is for check"),
        (&["check", "--all", "--database", "down"], "leave out --database"),
        (&["check", "--database", "down", "--database-url", "postgres://localhost/db"], "name two databases"),
        (&["check", "--database", "a b"], "letters, digits"),
        (&["check", "--database", ""], "letters, digits"),
    ] {
        let output = orderdb(&bed, arguments, &[DOWN]).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(expected), "{arguments:?}: {}", text(&output.stderr));
    }
}
