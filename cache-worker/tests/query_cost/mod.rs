//! The cost of a round does not depend on the length of the tables.

use std::time::Instant;

use cache_worker::select;
use diesel::{
    QueryResult,
    pg::Pg,
    query_builder::{AstPass, QueryFragment},
};
use shared::catalog::User;
use testbed::{Testbed, eventually};

use super::{RowCounts, SIZE, TIMEOUT, cached, count};

const ROWS: i64 = 1_000_000;

/// The query that returns the plan of a query.
struct Explain<Q>(Q);

impl<Q: QueryFragment<Pg>> QueryFragment<Pg> for Explain<Q> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("EXPLAIN (COSTS OFF) ");
        self.0.walk_ast(out.reborrow())
    }
}

/// Returns the numbers of sequential scans of `users`, and of rows fetched through its indexes, so far.
async fn table_reads(bed: &Testbed) -> (i64, i64) {
    // A backend adds its figures to the statistics at its exit at the latest, before it leaves pg_stat_activity.
    let others = "SELECT count(*) FROM pg_stat_activity \
                  WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
    eventually("all other connections are closed", TIMEOUT, async || count(bed, others).await == 0).await;
    let row = "SELECT seq_scan, idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'users'";
    let row = bed.sql().await.query_one(row, &[]).await.unwrap();
    (row.get(0), row.get(1))
}

#[tokio::test]
#[ignore = "inserts a million rows: run by deploy/test --long"]
async fn a_round_on_a_million_users_reads_no_more_than_it_caches() {
    let bed = Testbed::new("million").await;
    let sql = bed.sql().await;
    // Every other row, by created_at, is cached; at a hundred different times.
    let fill = format!(
        "INSERT INTO users (user_id, created_at, last_cached_at) \
         SELECT 'X' || n, now() - n * interval '1 second', \
         CASE WHEN n % 2 = 0 THEN now() - n % 100 * interval '1 minute' END \
         FROM generate_series(1, {ROWS}) n; VACUUM ANALYZE users"
    );
    for statement in fill.split("; ") {
        sql.batch_execute(statement).await.unwrap();
    }

    let mut connection = bed.statements().await;
    let queries: [(Box<dyn QueryFragment<Pg>>, _); 3] = [
        (Box::new(select::never_cached::<User>(SIZE)), "users_never_cached"),
        (Box::new(select::least_recently_cached::<User>(SIZE)), "users_least_recently_cached"),
        (Box::new(select::most_recently_cached::<User>(SIZE)), "users_least_recently_cached"),
    ];
    for (query, index) in queries {
        let lines = connection.query(&Explain(query)).await.unwrap();
        let plan: String = lines.iter().map(|line| line.get::<_, String>(0) + "\n").collect();
        assert!(plan.contains(index) && !plan.contains("Seq Scan") && !plan.contains("Sort"), "{plan}");
    }
    drop(connection);
    drop(sql);

    let (scans, fetched) = table_reads(&bed).await;
    let rounds = 20;
    let started = Instant::now();
    for _ in 0..rounds {
        assert_eq!(cached(&bed).await.users, RowCounts { new: SIZE / 2, aged: SIZE / 2 });
    }
    println!("a round took {:?}", started.elapsed() / rounds);
    let (scans_after, fetched_after) = table_reads(&bed).await;
    assert_eq!(scans_after, scans, "no round scans the whole table");
    // The ids of both halves in full, the rows, and the rows again to mark them.
    let most = i64::from(rounds) * 4 * SIZE as i64;
    assert!(fetched_after - fetched <= most, "{} rows fetched in {rounds} rounds", fetched_after - fetched);
    assert_eq!(
        count(&bed, "SELECT count(*) FROM users WHERE last_cached_at = (SELECT cached_at FROM cache_rounds)").await,
        SIZE as i64
    );
}
