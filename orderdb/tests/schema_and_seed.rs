//! The trigger of the schema, and what a seed inserts and changes.

use std::time::Duration;

use orderdb::{
    seed::{live::run_live, seed},
    settings::{LiveSettings, SeedSettings},
};
use testbed::{PRODUCTS, Testbed, USERS};
use tokio_util::sync::CancellationToken;

const DEADLINE: Duration = Duration::from_secs(60);

async fn text(bed: &Testbed, query: &str) -> String {
    bed.sql().await.query_one(query, &[]).await.unwrap().get(0)
}

fn seed_settings(seed_value: u64) -> SeedSettings {
    SeedSettings {
        users: 300,
        products: 200,
        seed_value,
        locale: Default::default(),
        catalog: None,
        if_empty: false,
        statement_deadline: DEADLINE,
        live: Default::default(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_of_an_attribute_that_orders_copy_is_timed_and_no_other_one() {
    let bed = Testbed::new("attribute_updates").await;
    let timed = "SELECT (SELECT count(attributes_updated_at) FROM users) || ' users, ' || \
                 (SELECT count(attributes_updated_at) FROM products) || ' products'";
    for (update, expected) in [
        ("UPDATE users SET last_cached_at = now(), age = 1", "0 users, 0 products"),
        ("UPDATE products SET last_cached_at = now(), price = price - 1, stock = 1", "0 users, 0 products"),
        ("UPDATE users SET region = region, gender = gender, age_group = age_group", "0 users, 0 products"),
        ("UPDATE users SET region = 'moved' WHERE user_id = 'U00000001'", "1 users, 0 products"),
        ("UPDATE users SET gender = 'U' WHERE user_id = 'U00000002'", "2 users, 0 products"),
        ("UPDATE users SET age_group = '90대' WHERE user_id = 'U00000003'", "3 users, 0 products"),
        ("UPDATE products SET category = 'other' WHERE product_id = 'P000001'", "3 users, 1 products"),
    ] {
        bed.sql().await.batch_execute(update).await.unwrap();
        assert_eq!(text(&bed, timed).await, expected, "{update}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_seed_value_makes_the_same_rows_and_another_makes_others() {
    let bed = Testbed::new("same_seed").await;
    let all = "SELECT md5(string_agg(u::text, '' ORDER BY user_id)) \
               FROM (SELECT user_id, name, gender, age, age_group, region, join_date FROM users) u";
    let mut seen = Vec::new();
    for seed_value in [1, 1, 2] {
        bed.sql().await.batch_execute("TRUNCATE users, products, orders, order_events").await.unwrap();
        seed(&seed_settings(seed_value), &bed.database).await.unwrap();
        seen.push(text(&bed, all).await);
    }
    assert_eq!(seen[0], seen[1]);
    assert_ne!(seen[0], seen[2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn seeding_again_leaves_existing_rows_unchanged() {
    let bed = Testbed::new("seeded_again").await;
    bed.sql().await.batch_execute("UPDATE users SET region = 'moved' WHERE user_id = 'U00000001'").await.unwrap();
    seed(&seed_settings(7), &bed.database).await.unwrap();
    assert_eq!(text(&bed, "SELECT region FROM users WHERE user_id = 'U00000001'").await, "moved");
    assert_eq!(text(&bed, "SELECT count(*)::text FROM users").await, USERS.to_string());
    assert_eq!(text(&bed, "SELECT count(*)::text FROM products").await, PRODUCTS.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_seeded_row_lacks_a_region_gender_age_group_or_category() {
    let bed = Testbed::new("nothing_lacking").await;
    let lacking = "SELECT (SELECT count(*) FROM users WHERE '' IN (name, gender, age_group, region) \
                           OR '미상' IN (name, age_group, region)) \
                   + (SELECT count(*) FROM products WHERE '' IN (name, category, brand) \
                      OR '미상' IN (name, category, brand))";
    assert_eq!(text(&bed, &format!("SELECT ({lacking})::text")).await, "0");
    assert_eq!(text(&bed, "SELECT count(DISTINCT region)::text FROM users").await, "17");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_seed_adds_and_changes_rows_at_its_rate() {
    let bed = Testbed::new("live_seed").await;
    let all = "SELECT u, p FROM (SELECT array_agg(user_id || region || age ORDER BY user_id) u FROM users) u, \
               (SELECT array_agg(product_id || price || stock ORDER BY product_id) p FROM products) p";
    let rows = async || -> (Vec<String>, Vec<String>) {
        let row = bed.sql().await.query_one(all, &[]).await.unwrap();
        (row.get(0), row.get(1))
    };
    let before = rows().await;
    let live = LiveSettings {
        live: true,
        users_per_minute: 3_000,
        products_per_minute: 300,
        duration: Some(Duration::from_secs(2)),
    };
    let settings = SeedSettings { users: 0, products: 0, live, ..seed_settings(1) };
    run_live(&settings, &bed.database, CancellationToken::new()).await.unwrap();
    let after = rows().await;
    assert_eq!((after.0.len(), after.1.len()), (before.0.len() + 100, before.1.len() + 10));
    let changed = |before: &[String], after: &[String]| before.iter().zip(after).filter(|(b, a)| b != a).count();
    // 100 users are chosen, some of them twice; some move to the region that they live in.
    let (users, products) = (changed(&before.0, &after.0), changed(&before.1, &after.1));
    assert!((60..=100).contains(&users) && (5..=10).contains(&products), "{users} users and {products} products");
    let wrong = "SELECT count(*) FILTER (WHERE age_group <> CASE WHEN age < 10 THEN age_group \
                 ELSE age / 10 * 10 || '대' END)::text FROM users";
    assert_eq!(text(&bed, wrong).await, "0");
}
