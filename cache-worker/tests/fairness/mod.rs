//! Every row is refreshed in time, on the real tables.

use std::collections::HashMap;

use cache_worker::{round::run_round, settings::AgingSettings};
use redis::AsyncCommands;
use testbed::Testbed;

use super::{AGING, RoundOutcome, Trigger};

const ROWS: usize = 20_000;
const HALF: usize = 500;
/// Rows added after the rounds, cyclically: in some rounds more than the half for new rows can take.
const INFLOW: [usize; 4] = [0, 100, 900, 450];

#[tokio::test]
async fn each_of_twenty_thousand_rows_is_refreshed_in_time_while_new_ones_arrive() {
    let bed = Testbed::new("fairness").await;
    let (sql, mut redis, keys) = (bed.sql().await, bed.redis().await, bed.keys());
    let add = |rows: usize, batch: usize| {
        format!(
            "INSERT INTO users (user_id, created_at) \
             SELECT 'R{batch}-' || n, clock_timestamp() FROM generate_series(1, {rows}) n"
        )
    };
    sql.batch_execute(&format!("DELETE FROM users; {}", add(ROWS, 0))).await.unwrap();
    let mut present = ROWS;
    let mut deadlines: HashMap<String, usize> = HashMap::new();
    let all = async || -> Vec<String> {
        let rows = sql.query("SELECT user_id FROM users", &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    };
    for id in all().await {
        deadlines.insert(id, present.div_ceil(HALF));
    }
    let mut connection = bed.statements().await;
    let aging = AgingSettings { size: 2 * HALF as u32, ..AGING };
    // Long enough for the first rows to be refreshed twice.
    for round in 1..=2 * ROWS / HALF + 20 {
        let ran = run_round(&mut connection, &mut redis, &keys, aging, Trigger::Always).await.unwrap();
        assert!(matches!(ran, RoundOutcome::Cached(_)), "{ran:?}");
        let ids: Vec<String> = redis.hkeys(&keys.users).await.unwrap();
        assert_eq!(ids.len(), 2 * HALF);
        for id in ids {
            let deadline = deadlines.insert(id.clone(), round + present.div_ceil(HALF)).unwrap();
            assert!(round <= deadline, "{id} was cached in round {round} instead of {deadline}");
        }
        let overdue: Vec<_> = deadlines.iter().filter(|(_, deadline)| **deadline <= round).take(3).collect();
        assert!(overdue.is_empty(), "not cached by round {round}: {overdue:?}");
        let arriving = INFLOW[round % INFLOW.len()];
        if arriving > 0 {
            sql.batch_execute(&add(arriving, round)).await.unwrap();
            present += arriving;
            let deadline = round + present.div_ceil(HALF);
            deadlines.extend((1..=arriving).map(|n| (format!("R{round}-{n}"), deadline)));
        }
    }
}
