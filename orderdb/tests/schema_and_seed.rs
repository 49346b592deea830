//! The schema up and down, and rows that are the same for the same seed value.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use orderdb::{
    migrate::migrate,
    seed::seed,
    settings::{MigrateAction, SeedSettings},
};
use shared::{confirm::YesDestroy, database::DatabaseSettings, program::Outcome};
use testbed::{PRODUCTS, Testbed, USERS};

async fn text(bed: &Testbed, query: &str) -> String {
    bed.sql().await.query_one(query, &[]).await.unwrap().get(0)
}

fn seed_settings(seed_value: u64) -> SeedSettings {
    SeedSettings { users: 300, products: 200, seed_value, locale: Default::default(), if_empty: false }
}

async fn down(database: &DatabaseSettings, yes_destroy: Option<&str>) -> anyhow::Result<Outcome> {
    migrate(MigrateAction::Down(YesDestroy { yes_destroy: yes_destroy.map(str::to_owned) }), database).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_goes_up_and_down_and_rows_are_dropped_only_by_name() {
    let bed = Testbed::new("up_and_down").await;
    let name = bed.database.database();
    assert_eq!(migrate(MigrateAction::Status, &bed.database).await.unwrap(), Outcome::Valid);
    // The last migration made nothing that can't be made again, the first one all that there is.
    down(&bed.database, None).await.unwrap();
    for (wrong, says) in [
        (None, format!("{USERS} users")),
        (None, format!("--yes-destroy {name}")),
        (Some("other"), "not other".to_owned()),
    ] {
        let error = down(&bed.database, wrong).await.unwrap_err().to_string();
        assert!(error.contains(&says), "{error}");
    }
    down(&bed.database, Some(name)).await.unwrap();
    assert_eq!(migrate(MigrateAction::Status, &bed.database).await.unwrap(), Outcome::Invalid);
    let error = seed(&seed_settings(1), &bed.database).await.unwrap_err().to_string();
    assert!(error.contains("orderdb migrate up"), "{error}");
    for _ in 0..2 {
        assert_eq!(migrate(MigrateAction::Up, &bed.database).await.unwrap(), Outcome::Valid);
    }
    // Empty tables go without a word.
    for _ in 0..2 {
        down(&bed.database, None).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_seed_value_gives_the_same_rows_and_another_gives_others() {
    let bed = Testbed::new("same_seed").await;
    let all = "SELECT md5(string_agg(u::text, '' ORDER BY user_id)) FROM (SELECT user_id, name, gender, age, age_group, region, join_date FROM users) u";
    let mut seen = Vec::new();
    for seed_value in [1, 1, 2] {
        bed.sql().await.batch_execute("TRUNCATE users, products, orders").await.unwrap();
        seed(&seed_settings(seed_value), &bed.database).await.unwrap();
        seen.push(text(&bed, all).await);
    }
    assert_eq!(seen[0], seen[1]);
    assert_ne!(seen[0], seen[2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn seeding_again_leaves_the_rows_that_are_there() {
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
    let lacking = "SELECT (SELECT count(*) FROM users WHERE '' IN (name, gender, age_group, region) OR '미상' IN (name, age_group, region)) \
                   + (SELECT count(*) FROM products WHERE '' IN (name, category, brand) OR '미상' IN (name, category, brand))";
    assert_eq!(text(&bed, &format!("SELECT ({lacking})::text")).await, "0");
    assert_eq!(text(&bed, "SELECT count(DISTINCT region)::text FROM users").await, "17");
}
