//! `orderdb seed --catalog`: the rows of a file instead of synthetic ones.

use std::{
    fs::File,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use chrono::NaiveDate;
use shared::catalog::{CatalogRow, Product, SyntheticProducts, SyntheticUsers, User};
use testbed::{PRODUCTS, Testbed, USERS};

/// Values at the limits of the table's columns.
fn user(user_id: &str) -> User {
    User {
        user_id: user_id.into(),
        name: "김".repeat(100),
        gender: "U".to_owned(),
        age: 150,
        age_group: "가".repeat(10),
        region: "나".repeat(50),
        join_date: NaiveDate::from_ymd_opt(-4712, 1, 1).unwrap(),
    }
}

/// Values at the limits of the table's columns.
fn product(product_id: &str) -> Product {
    Product {
        product_id: product_id.into(),
        name: "현".repeat(200),
        category: "식".repeat(50),
        brand: "온".repeat(100),
        price: i32::MAX,
        org_price: i32::MAX,
        discount_rate: 1.0,
        stock: i32::MAX,
    }
}

fn json_lines(rows: impl IntoIterator<Item = CatalogRow>) -> String {
    rows.into_iter().map(|row| serde_json::to_string(&row).unwrap() + "\n").collect()
}

fn write_file(bed: &Testbed, content: &str) -> PathBuf {
    let path = bed.folder().join("catalog.jsonl");
    std::fs::write(&path, content).unwrap();
    path
}

fn orderdb(bed: &Testbed, arguments: &[&str], stdin: Stdio) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orderdb"));
    command.arg("seed").args(arguments).envs(bed.environment()).stdin(stdin).output().unwrap()
}

async fn counts(bed: &Testbed) -> (i64, i64) {
    let query = "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM products)";
    let row = bed.sql().await.query_one(query, &[]).await.unwrap();
    (row.get(0), row.get(1))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_of_a_file_are_inserted_and_existing_rows_stay_unchanged() {
    let bed = Testbed::new("catalog_file").await;
    let existing = "SELECT md5(string_agg(u::text, '' ORDER BY user_id)) FROM users u WHERE user_id LIKE 'U%'";
    let existing = async || -> String { bed.sql().await.query_one(existing, &[]).await.unwrap().get(0) };
    let before = existing().await;
    // Users 1 to 3 and products 1 to 3 exist, with other values.
    let rows = SyntheticProducts::new(99).take(3).chain([product("customer-product")]).map(CatalogRow::Product);
    let users = SyntheticUsers::new(99, Default::default()).take(3).chain([user("customer-user")]);
    let path = write_file(&bed, &json_lines(rows.chain(users.map(CatalogRow::User))));
    for inserted in ["inserted 1 users and 1 products", "inserted 0 users and 0 products"] {
        let output = orderdb(&bed, &["--catalog", path.to_str().unwrap()], Stdio::null());
        let stdout = String::from_utf8(output.stdout.clone()).unwrap();
        assert!(output.status.success() && stdout.starts_with(inserted), "{output:?}");
    }
    assert_eq!(counts(&bed).await, (USERS as i64 + 1, PRODUCTS as i64 + 1));
    assert_eq!(existing().await, before);
    let client = bed.sql().await;
    let row = client.query_one("SELECT * FROM users WHERE user_id = 'customer-user'", &[]).await.unwrap();
    assert_eq!(User::from(&row), user("customer-user"));
    let row = client.query_one("SELECT * FROM products WHERE product_id = 'customer-product'", &[]).await.unwrap();
    assert_eq!(Product::from(&row), product("customer-product"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_on_standard_input_fills_empty_tables_and_only_those() {
    let bed = Testbed::new("catalog_stdin").await;
    bed.sql().await.batch_execute("TRUNCATE users, products, orders, order_events").await.unwrap();
    // More rows than a statement inserts.
    let users = SyntheticUsers::new(7, Default::default()).take(1_001).map(CatalogRow::User);
    let products = SyntheticProducts::new(7).take(1_001).map(CatalogRow::Product);
    let path = write_file(&bed, &json_lines(users.chain(products)));
    for expected in ["inserted 1001 users and 1001 products", "already has users and products"] {
        let output = orderdb(&bed, &["--if-empty", "--catalog", "-"], File::open(&path).unwrap().into());
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains(expected), "{output:?}");
    }
    assert_eq!(counts(&bed).await, (1_001, 1_001));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_broken_file_is_inserted() {
    let bed = Testbed::new("catalog_broken").await;
    let good = json_lines([CatalogRow::User(user("new")), CatalogRow::Product(product("new"))]);
    let too_old = json_lines([CatalogRow::User(User { age: 151, ..user("old") })]);
    for (content, expected) in [
        (format!("{good}{{\"user_id\": \"U1\"}}\n"), "catalog.jsonl, line 3: missing field `name`"),
        (format!("{good}\n{too_old}"), "catalog.jsonl, line 4: age is 151"),
        (json_lines([CatalogRow::User(user("new"))]), "catalog.jsonl has no products"),
        (json_lines([CatalogRow::Product(product("new"))]), "catalog.jsonl has no users"),
    ] {
        let path = write_file(&bed, &content);
        let output = orderdb(&bed, &["--catalog", path.to_str().unwrap()], Stdio::null());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && stderr.contains(expected), "{stderr}");
    }
    assert_eq!(counts(&bed).await, (USERS as i64, PRODUCTS as i64));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_the_database_refuses_undoes_the_whole_file() {
    let bed = Testbed::new("catalog_undone").await;
    bed.sql().await.batch_execute("ALTER TABLE products ADD CHECK (product_id <> 'refused')").await.unwrap();
    let rows = [CatalogRow::User(user("new")), CatalogRow::Product(product("refused"))];
    let path = write_file(&bed, &json_lines(rows));
    let output = orderdb(&bed, &["--catalog", path.to_str().unwrap()], Stdio::null());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && stderr.contains("products can't be inserted"), "{stderr}");
    assert_eq!(counts(&bed).await, (USERS as i64, PRODUCTS as i64));
}

#[test]
fn a_catalog_with_the_options_of_synthetic_rows_is_wrong_usage() {
    for options in
        [&["--users", "1"][..], &["--products", "1"], &["--seed-value", "1"], &["--locale", "ko-kr"], &["--live"]]
    {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orderdb"));
        let output = command.args(["seed", "--catalog", "catalog.jsonl"]).args(options).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{options:?}: {output:?}");
    }
}
