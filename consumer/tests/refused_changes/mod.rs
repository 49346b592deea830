//! Changes that do not fit their order, or that the tables refuse.

use std::time::Duration;

use testbed::Testbed;

use super::{
    Cancelled, Delivered, Paid, Processing, Refunded, Shipped, Writer, change, changes, history, order, with_reason,
};

#[tokio::test]
async fn changes_that_do_not_fit_their_order_are_rejected_with_the_statuses_and_all_others_stored() {
    let bed = Testbed::new("unfit_changes").await;
    let mut writer = Writer::new(&bed);
    writer.store(&[order(1), order(2)], &[change(2, 1, Cancelled)]).await;
    let batch = [
        change(1, 1, Processing),
        change(1, 2, Delivered),
        change(1, 3, Delivered),
        with_reason(2, 1, Cancelled, "another reason"),
        change(2, 2, Paid),
        change(3, 1, Processing),
    ];
    let (new, rejected) = changes(&writer.store(&[order(4)], &batch).await);
    assert_eq!((new, rejected.len()), (2, 4), "{rejected:?}");
    let expected = [
        (1, r#"illegal_transition: no transitions lead from "processing" (number 1) to "delivered" (number 2): "#),
        (3, "conflicting: another change number 1 of this order is stored; they differ in reason (stored \"why\", "),
        (4, r#"illegal_transition: no transitions lead from "cancelled" (number 1) to "paid" (number 2): "#),
        (5, "unknown_order: there is no order with this id: `consumer dlq replay` stores the change once "),
    ];
    for ((at, message), (expected_at, expected)) in rejected.iter().zip(expected) {
        assert!(*at == expected_at && message.starts_with(expected), "{at} {message}");
    }
    assert_eq!(history(&bed, 1).await, "delivered 3 | 0:paid 1:processing:why 3:delivered:why");
    // A late change must lead to what comes after it.
    let (new, rejected) = changes(&writer.store(&[], &[change(1, 2, Refunded)]).await);
    let message = r#"illegal_transition: no transitions lead from "refunded" (number 2) to "delivered" (number 3)"#;
    assert!(new == 0 && rejected[0].1.starts_with(message), "{rejected:?}");
    assert_eq!(history(&bed, 2).await, "cancelled 1 | 0:paid 1:cancelled:why");
}

#[tokio::test]
async fn a_change_that_the_table_refuses_costs_itself_only() {
    let bed = Testbed::new("poisoned_change").await;
    let mut writer = Writer::new(&bed);
    bed.sql().await.batch_execute("ALTER TABLE order_events ADD CHECK (reason <> 'poison')").await.unwrap();
    let orders: Vec<_> = (0..200).map(order).collect();
    let path = [Processing, Shipped, Delivered];
    let mut batch: Vec<_> = (0..200)
        .flat_map(|number| path.into_iter().zip(1..).map(move |(status, at)| change(number, at, status)))
        .collect();
    batch[100 * 3 + 1] = with_reason(100, 2, Shipped, "poison");
    let stored = writer.store(&orders, &batch).await;
    let (new, rejected) = changes(&stored);
    assert_eq!((stored.orders.inserted, new, rejected.len()), (200, 599, 1), "{rejected:?}");
    assert!(rejected[0].0 == 301 && rejected[0].1.starts_with("refused_by_table: "), "{rejected:?}");
    assert_eq!(history(&bed, 100).await, "delivered 3 | 0:paid 1:processing:why 3:delivered:why");
    assert_eq!(history(&bed, 99).await, "delivered 3 | 0:paid 1:processing:why 2:shipped:why 3:delivered:why");
}

#[tokio::test]
async fn a_change_whose_order_is_refused_in_the_same_batch_has_an_unknown_order() {
    let bed = Testbed::new("refused_order").await;
    let mut writer = Writer::new(&bed);
    let mut refused = order(1);
    refused.order.event.user_id = "nobody".into();
    let stored = writer.store(&[refused, order(2)], &[change(1, 1, Processing), change(2, 1, Processing)]).await;
    let (new, rejected) = changes(&stored);
    assert_eq!((stored.orders.inserted, stored.orders.rejected.len(), new), (1, 1, 1));
    assert!(rejected.len() == 1 && rejected[0].1.starts_with("unknown_order: "), "{rejected:?}");
}

#[tokio::test]
async fn an_error_of_all_changes_is_an_outage_and_rejects_none() {
    let bed = Testbed::new("no_changes_accepted").await;
    let mut writer = Writer::new(&bed);
    writer.store(&[order(0)], &[change(0, 1, Processing)]).await;
    let sql = bed.sql().await;
    let refuse = "CREATE SEQUENCE attempts;
         CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN PERFORM nextval('attempts'); RAISE EXCEPTION 'no' USING ERRCODE = '42501'; END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON order_events FOR EACH ROW EXECUTE FUNCTION refuse()";
    sql.batch_execute(refuse).await.unwrap();
    let health = writer.health.clone();
    let repairing = async {
        testbed::eventually("the changes are tried often enough", Duration::from_secs(60), async || {
            sql.query_one("SELECT last_value FROM attempts", &[]).await.unwrap().get::<_, i64>(0) >= 8
        })
        .await;
        assert!(health.status().ready().unwrap_err().contains("SQLSTATE 42501"), "{:?}", health.status().ready());
        sql.batch_execute("DROP TRIGGER refuse ON order_events").await.unwrap();
    };
    let (orders, batch) = ([order(1), order(2)], [change(1, 1, Processing), change(2, 1, Cancelled)]);
    let (stored, ()) = tokio::join!(writer.store(&orders, &batch), repairing);
    assert_eq!(changes(&stored), (2, vec![]));
    assert_eq!(history(&bed, 2).await, "cancelled 1 | 0:paid 1:cancelled:why");
}

#[tokio::test]
async fn an_order_that_another_session_locks_keeps_no_other_change_from_its_history() {
    let bed = Testbed::new("locked_order").await;
    let mut writer = Writer::new(&bed);
    let orders: Vec<_> = (0..20).map(order).collect();
    writer.store(&orders, &[]).await;
    let (other, watching) = (bed.sql().await, bed.sql().await);
    other.batch_execute("BEGIN; SELECT FROM orders WHERE order_id = 'order-00003' FOR UPDATE").await.unwrap();
    let batch: Vec<_> = (0..20).map(|number| change(number, 1, Processing)).collect();
    let releasing = async {
        testbed::eventually("the other changes are stored", Duration::from_secs(100), async || {
            let stored = "SELECT count(*) FROM order_events WHERE sequence = 1";
            watching.query_one(stored, &[]).await.unwrap().get::<_, i64>(0) == 19
        })
        .await;
        other.batch_execute("ROLLBACK").await.unwrap();
    };
    let (stored, ()) = tokio::join!(writer.store(&[], &batch), releasing);
    assert_eq!(changes(&stored).1, vec![]);
    assert_eq!(history(&bed, 3).await, "processing 1 | 0:paid 1:processing:why");
}
