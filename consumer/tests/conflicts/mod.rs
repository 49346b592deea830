//! Orders whose id the table has, and rows that it skips or changes.

use std::{sync::Arc, time::Duration};

use consumer::{
    model::{OrderRow, RejectReason},
    retry_scope::RetryScope,
};
use testbed::Testbed;
use tokio_util::sync::CancellationToken;

use super::{database, insert, rejected, row, stored, texts};

fn with_amount(number: usize, total_amount: i32) -> OrderRow {
    let mut row = row(number, "U00000001");
    row.order.event.total_amount = total_amount;
    row
}

#[tokio::test]
async fn an_order_with_the_id_of_a_stored_one_is_a_duplicate_if_equal_and_conflicting_if_not() {
    let bed = Testbed::new("conflicting").await;
    let (health, force_stop) = (Arc::default(), CancellationToken::new());
    let mut database = database(&bed, &health);
    let mut scope = RetryScope::new(&force_stop, &|| false);
    // Of two orders with one id in a batch, the first is stored. If it is refused, the next one is.
    let first =
        [with_amount(1, 1_000), with_amount(1, 1_001), with_amount(1, 1_000), row(2, "nobody"), row(2, "U00000001")];
    let result = insert(&mut database, &first.each_ref(), &mut scope).await.unwrap();
    assert_eq!((result.inserted, rejected(&result)), (2, texts([(1, "total_amount"), (3, "23503")])));

    let mut other = row(2, "U00000002");
    other.order.event.created_at += Duration::from_micros(1);
    let second = [with_amount(1, 1_000), with_amount(1, 1_002), other, row(3, "U00000001")];
    let result = insert(&mut database, &second.each_ref(), &mut scope).await.unwrap();
    assert_eq!((result.inserted, rejected(&result)), (1, texts([(1, "total_amount"), (2, "user_id,created_at")])));
    let amounts = "SELECT string_agg(total_amount::text, ' ' ORDER BY order_id) FROM orders";
    let amounts: String = bed.sql().await.query_one(amounts, &[]).await.unwrap().get(0);
    assert_eq!(amounts, "1000 1000 1000");
}

#[tokio::test]
async fn a_unique_index_other_than_that_of_the_id_refuses_a_row() {
    let bed = Testbed::new("unique_index").await;
    let (health, force_stop) = (Arc::default(), CancellationToken::new());
    bed.sql().await.batch_execute("CREATE UNIQUE INDEX ON orders (total_amount)").await.unwrap();
    let rows: Vec<OrderRow> = (0..10).map(|n| with_amount(n, n.min(8) as i32)).collect();
    let rows: Vec<&OrderRow> = rows.iter().collect();
    let mut scope = RetryScope::new(&force_stop, &|| false);
    let result = insert(&mut database(&bed, &health), &rows, &mut scope).await.unwrap();
    assert_eq!((result.inserted, rejected(&result)), (9, texts([(9, "23505")])));
}

#[tokio::test]
async fn a_row_that_a_trigger_skips_is_rejected_and_rows_that_it_changes_are_not() {
    let bed = Testbed::new("skipping_trigger").await;
    let (health, force_stop) = (Arc::default(), CancellationToken::new());
    let trigger = |body: &str| {
        format!(
            "CREATE OR REPLACE FUNCTION check_order() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;
             CREATE OR REPLACE TRIGGER check_order BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION check_order()"
        )
    };
    let skip = trigger("IF NEW.order_id = 'order-00001' THEN RETURN NULL; END IF; RETURN NEW;");
    bed.sql().await.batch_execute(&skip).await.unwrap();
    let mut database = database(&bed, &health);
    let mut scope = RetryScope::new(&force_stop, &|| false);
    let rows = [row(0, "U00000001"), row(1, "U00000001")];
    let result = insert(&mut database, &rows.each_ref(), &mut scope).await.unwrap();
    assert_eq!((result.inserted, result.rejected.len()), (1, 1));
    assert!(matches!(result.rejected[0], (1, RejectReason::NotKept)), "{:?}", result.rejected);

    bed.sql().await.batch_execute(&trigger("NEW.status := 'changed'; RETURN NEW;")).await.unwrap();
    let rows: Vec<OrderRow> = (2..5).map(|n| row(n, "U00000001")).collect();
    insert(&mut database, &[&rows[0]], &mut scope).await.unwrap();
    let rows: Vec<&OrderRow> = rows.iter().collect();
    let result = insert(&mut database, &rows, &mut scope).await.unwrap();
    assert_eq!((result.inserted, result.rejected.len()), (2, 0));
    // Read again after a crash: each row is skipped, and differs by what the trigger changes.
    let result = insert(&mut database, &rows, &mut scope).await.unwrap();
    assert_eq!((result.inserted, result.rejected.len()), (0, 0));
    // The fields that it does not change are compared.
    let result = insert(&mut database, &[&with_amount(2, 999), rows[1]], &mut scope).await.unwrap();
    assert_eq!((result.inserted, rejected(&result)), (0, texts([(0, "total_amount")])));
    // The trials left nothing.
    assert_eq!(stored(&bed).await, 4);
}
