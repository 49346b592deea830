//! `orderdb validate`: which differences of the schema it finds, and which of them break a program.

use serde_json::Value;
use testbed::Testbed;

use crate::program::{count, printed, refused, run};

/// The exit code and the differences.
async fn validate(bed: &Testbed) -> (Option<i32>, Vec<Value>) {
    let ended = run(bed, &["validate", "--output", "json"]).await;
    let result: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{}", ended.stderr));
    assert_eq!(result["valid"], ended.code == Some(0), "{result:#}");
    (ended.code, result["differences"].as_array().unwrap().clone())
}

/// What is changed, the object and the beginning of the consequence of the difference, and whether a program breaks.
const CHANGES: [(&str, &str, &str, bool); 24] = [
    ("ALTER TABLE orders ALTER status TYPE varchar(5)", "orders.status", "an order with a value longer than 5", true),
    ("ALTER TABLE orders ALTER payment_method TYPE text", "orders.payment_method", "longer values fit", false),
    ("ALTER TABLE orders ALTER quantity TYPE bigint", "orders.quantity", "the consumer and orderdb audit read", true),
    ("ALTER TABLE orders ALTER category DROP NOT NULL", "orders.category", "a NULL there", true),
    (
        "UPDATE users SET last_cached_at = now(); ALTER TABLE users ALTER last_cached_at SET NOT NULL",
        "users.last_cached_at",
        "rows without a value",
        true,
    ),
    ("ALTER TABLE users ALTER created_at DROP DEFAULT", "users.created_at", "inserts of orderdb seed fail", true),
    ("ALTER TABLE users ALTER age SET DEFAULT 7", "users.age", "orderdb seed always writes", false),
    ("ALTER TABLE orders ADD coupon int NOT NULL", "orders.coupon", "inserts of the consumer fail", true),
    ("ALTER TABLE orders ADD note text", "orders.note", "an additional column", false),
    ("ALTER TABLE users DROP region CASCADE", "users.region", "statements of cache-worker", true),
    (
        "ALTER TABLE orders DROP CONSTRAINT orders_pkey CASCADE",
        "orders_pkey of orders",
        "the consumer stores nothing",
        true,
    ),
    ("ALTER TABLE orders DROP CONSTRAINT orders_user_id_fkey", "orders_user_id_fkey of orders", "orders of unk", true),
    ("ALTER TABLE users DROP CONSTRAINT users_age_check", "users_age_check of users", "wrong rows of", true),
    ("ALTER TABLE orders ADD CONSTRAINT few CHECK (quantity < 9)", "few of orders", "it may refuse rows", false),
    ("DROP INDEX users_never_cached", "index users_never_cached", "statements of the cache-worker read", true),
    ("CREATE INDEX more ON orders (category)", "index more", "each insert into orders costs more", false),
    ("ALTER TABLE products ALTER product_id TYPE varchar(50) COLLATE \"default\"", "products.product_id", "ids", true),
    (
        "ALTER TABLE products DISABLE TRIGGER products_attributes_updated",
        "trigger products_attributes_updated of products",
        "orderdb audit counts",
        true,
    ),
    (
        "ALTER TABLE orders ALTER status_sequence DROP DEFAULT",
        "orders.status_sequence",
        "inserts of the consumer",
        true,
    ),
    ("ALTER TABLE order_events ALTER status TYPE varchar(5)", "order_events.status", "a change with a value lo", true),
    ("ALTER TABLE order_events DROP CONSTRAINT order_events_pkey", "order_events_pkey of order_events", "a row", true),
    ("ALTER TABLE order_events ALTER reason SET DEFAULT '-'", "order_events.reason", "the consumer always", false),
    ("DROP TABLE cache_rounds", "table cache_rounds", "the cache-worker does not start", true),
    ("ALTER TABLE users ENABLE ROW LEVEL SECURITY", "table users", "its policies may hide", false),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_difference_is_found_with_what_it_breaks_and_no_other_one() {
    let bed = Testbed::new("validate").await;
    let sql = bed.sql().await;
    assert_eq!(validate(&bed).await, (Some(0), vec![]));
    for (change, ..) in CHANGES.iter().filter(|(.., breaks)| !breaks) {
        sql.batch_execute(change).await.unwrap();
    }
    let (code, differences) = validate(&bed).await;
    assert_eq!((code, differences.len()), (Some(0), 7), "{differences:#?}");
    for (change, ..) in CHANGES.iter().filter(|(.., breaks)| *breaks) {
        sql.batch_execute(change).await.unwrap();
    }
    let (code, differences) = validate(&bed).await;
    assert_eq!(code, Some(3));
    for (change, object, consequence, breaks) in CHANGES {
        let found = differences.iter().find(|found| found["object"] == object && is_begun(found, consequence));
        let found = found.unwrap_or_else(|| panic!("{change}: {differences:#?}"));
        assert_eq!(found["effect"], if breaks { "breaks" } else { "none" }, "{found:#}");
    }
    // With a column, the trigger that looks at it is gone; with a primary key, the foreign key that refers to it.
    let gone = ["trigger users_attributes_updated of users", "order_events_order_id_fkey of order_events"];
    let more = differences.iter().filter(|found| gone.iter().any(|object| found["object"] == *object));
    assert_eq!((more.count(), differences.len()), (2, CHANGES.len() + 2), "{differences:#?}");
    let text = run(&bed, &["validate"]).await.stdout;
    assert!(text.contains("varchar(5)") && text.contains("lacks what the programs need"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

fn is_begun(difference: &Value, consequence: &str) -> bool {
    difference["consequence"].as_str().is_some_and(|text| text.starts_with(consequence))
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_the_schema_of_the_tables_do_not_matter_and_nothing_is_left_behind() {
    let bed = Testbed::new("validate_names").await;
    let sql = bed.sql().await;
    for change in [
        "ALTER INDEX users_never_cached RENAME TO other",
        "ALTER TABLE users RENAME CONSTRAINT users_age_check TO ages",
        "CREATE SCHEMA \"My Shop\"",
        "ALTER FUNCTION set_attributes_updated_at SET SCHEMA \"My Shop\"",
        "ALTER TABLE users SET SCHEMA \"My Shop\"",
        "ALTER TABLE products SET SCHEMA \"My Shop\"",
        "ALTER TABLE orders SET SCHEMA \"My Shop\"",
        "ALTER TABLE order_events SET SCHEMA \"My Shop\"",
        "ALTER TABLE cache_rounds SET SCHEMA \"My Shop\"",
    ] {
        sql.batch_execute(change).await.unwrap();
    }
    sql.batch_execute("DELETE FROM \"My Shop\".cache_rounds").await.unwrap();
    let path = format!("ALTER DATABASE \"{}\" SET search_path = \"My Shop\", public", bed.database.database());
    sql.batch_execute(&path).await.unwrap();
    let (code, differences) = validate(&bed).await;
    assert!(code == Some(3) && differences.len() == 1 && differences[0]["object"] == "row of cache_rounds");
    bed.sql().await.batch_execute("INSERT INTO cache_rounds DEFAULT VALUES").await.unwrap();
    assert_eq!(validate(&bed).await, (Some(0), vec![]));
    assert_eq!(count(&bed, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'orderdb%'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_migrations_are_named_and_so_is_the_right_that_a_role_lacks() {
    let bed = Testbed::new("validate_rights").await;
    let name = bed.database.database();
    printed(&bed, &["migrate", "rollback", "4", "--yes-destroy", name]).await;
    let empty = run(&bed, &["validate"]).await;
    let all = ["not applied: 2026-11-21-000000_create_tables", "orderdb migrate up", "no program starts"];
    assert!(empty.code == Some(3) && all.iter().all(|text| empty.stdout.contains(text)), "{}", empty.stdout);
    let role: String = bed.sql().await.query_one("SELECT current_user::text", &[]).await.unwrap().get(0);
    let revoke = format!("REVOKE CREATE ON DATABASE \"{name}\" FROM \"{role}\", public");
    bed.sql().await.batch_execute(&revoke).await.unwrap();
    let log = refused(&bed, &["validate"]).await;
    assert!(log.contains("SQLSTATE 42501") && log.contains("the right CREATE on the database"), "{log}");
}
