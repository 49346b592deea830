//! What readers see while the cache is swapped.

use std::sync::atomic::{AtomicBool, Ordering};

use cache_worker::swap::{CacheRows, SwapOutcome, swap};
use chrono::{DateTime, NaiveDate, Utc};
use shared::{
    cache::{self, CacheKeys},
    catalog::{Product, User},
};
use testbed::Testbed;

const SWAPS: i64 = 1_000;
const ROWS: usize = 30;

/// Rows whose name is the number of the swap.
fn rows(swap: i64) -> (Vec<User>, Vec<Product>) {
    let users = (0..ROWS).map(|n| User {
        user_id: format!("U{n}").into(),
        name: swap.to_string(),
        gender: "F".to_owned(),
        age: 30,
        age_group: "30대".to_owned(),
        region: "서울".to_owned(),
        join_date: NaiveDate::default(),
    });
    let products = (0..ROWS).map(|n| Product {
        product_id: format!("P{n}").into(),
        name: swap.to_string(),
        category: "식품".to_owned(),
        brand: "b".to_owned(),
        price: 1,
        org_price: 1,
        discount_rate: 0.0,
        stock: 1,
    });
    (users.collect(), products.collect())
}

fn at(swap: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(swap, 0).unwrap()
}

async fn swap_in(bed: &Testbed, first: i64, last: i64) {
    let (mut redis, keys) = (bed.redis().await, bed.keys());
    for number in first..=last {
        let (users, products) = rows(number);
        let next = CacheRows { users: &users, products: &products };
        assert_eq!(swap(&mut redis, &keys, next, number, at(number)).await.unwrap(), SwapOutcome::Swapped);
    }
}

/// Samples as the producer does, and reads the whole cache in one transaction, until `done`. Returns the number of
/// swaps that were seen.
async fn read(bed: &Testbed, keys: &CacheKeys, done: &AtomicBool) -> usize {
    let mut redis = bed.redis().await;
    let (mut last, mut seen) = (0, 0);
    while !done.load(Ordering::Relaxed) {
        let sample: Vec<User> = cache::sample(&mut redis, &keys.users, 10).await.unwrap();
        assert_eq!(sample.len(), 10);
        assert!(sample.iter().all(|user| user.name == sample[0].name), "{sample:?}");

        let mut transaction = redis::pipe();
        transaction.atomic().hvals(&keys.users).hvals(&keys.products).get(&keys.refreshed_at);
        let (users, products, refreshed_at): (Vec<String>, Vec<String>, String) =
            transaction.query_async(&mut redis).await.unwrap();
        let user = |json: &String| serde_json::from_str::<User>(json).unwrap().name;
        let product = |json: &String| serde_json::from_str::<Product>(json).unwrap().name;
        let number = refreshed_at.parse::<DateTime<Utc>>().unwrap().timestamp();
        let names: Vec<String> = users.iter().map(user).chain(products.iter().map(product)).collect();
        assert_eq!(names.len(), 2 * ROWS);
        assert!(names.iter().all(|name| *name == number.to_string()), "swap {number}: {names:?}");
        assert!(number >= last, "{number} after {last}");
        seen += usize::from(number != std::mem::replace(&mut last, number));
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_never_see_a_missing_or_a_mixed_cache() {
    let bed = Testbed::new("readers").await;
    let (keys, done) = (bed.keys(), AtomicBool::new(false));
    swap_in(&bed, 1, 1).await;
    let swapping = async {
        swap_in(&bed, 2, SWAPS).await;
        done.store(true, Ordering::Relaxed);
    };
    let ((), first, second) = tokio::join!(swapping, read(&bed, &keys, &done), read(&bed, &keys, &done));
    assert!(first.min(second) > 100, "the readers saw {first} and {second} swaps of {SWAPS}");
}
