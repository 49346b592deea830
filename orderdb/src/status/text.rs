//! The status as tables of at most 80 columns.

use chrono::{DateTime, Utc};
use comfy_table::Table;
use indicatif::{HumanBytes, HumanCount};
use shared::report::{Report, align_right, table};

use super::{
    cache::{self, CachedRows, RedisStatus, Rounds},
    indexes::{Index, IndexStatus, MissingIndex},
    orders::OrderStatus,
    part::Part,
    read::Status,
    replication::ReplicationStatus,
    sessions::SessionStatus,
    tables::{RowsAre, TableStatus},
    times::{ago, between, seconds, utc},
};

pub fn text(status: &Status) -> String {
    let mut report = Report::about("database", &status.database);
    add_server(&mut report, status);
    add(&mut report, "orders", &status.orders, |report, orders| add_orders(report, orders, status));
    add(&mut report, "cache rounds", &status.rounds, |report, rounds| add_rounds(report, rounds, status));
    add(&mut report, "Redis", &status.redis, add_redis);
    add(&mut report, "sessions", &status.sessions, add_sessions);
    add(&mut report, "replication", &status.replication, add_replication);
    let mut all = vec![report.to_string()];
    match &status.tables {
        Part::Read(tables) => {
            all.extend([table_sizes(tables), table_upkeep(tables, status)].map(|rows| rows.to_string()));
        }
        Part::Failed { error } => all.push(format!("tables: {error}")),
    }
    if let Part::Read(sessions) = &status.sessions
        && !sessions.connections.is_empty()
    {
        all.push(connection_rows(sessions).to_string());
    }
    match &status.indexes {
        Part::Read(indexes) => all.extend(index_findings(indexes, status)),
        Part::Failed { error } => all.push(format!("indexes: {error}")),
    }
    all.join("\n")
}

fn add<T>(report: &mut Report, what: &str, part: &Part<T>, read: impl FnOnce(&mut Report, &T)) {
    match part {
        Part::Read(part) => read(report, part),
        Part::Failed { error } => report.line(what, "FAILED", error),
    }
}

fn bytes(count: i64) -> String {
    HumanBytes(count.unsigned_abs()).to_string()
}

fn count(count: i64) -> String {
    HumanCount(count.unsigned_abs()).to_string()
}

fn add_server(report: &mut Report, status: &Status) {
    let server = &status.server;
    report.line("PostgreSQL", &server.version, format!("{}, at {}:{}", server.role, status.host, status.port));
    report.line("started", ago(server.started_at, server.now), utc(server.started_at));
    report.line("latency", format!("{:.2} ms", status.latency_ms), "median of some round trips");
    report.line("size", server.size_bytes.map_or_else(|| "not readable".to_owned(), bytes), "of the whole database");
    add(report, "migrations", &status.migrations, |report, counts| {
        let missing = if counts.missing > 0 { "run `orderdb migrate up`" } else { "" };
        report.line("migrations", counts.text(), missing);
    });
}

fn add_orders(report: &mut Report, orders: &OrderStatus, status: &Status) {
    for window in &orders.windows {
        let at_least = if window.is_lower_bound { "at least " } else { "" };
        report.line(
            &format!("orders in {} min", window.minutes),
            format!("{at_least}{}", count(window.orders)),
            format!("{at_least}{} a minute", count(window.orders_a_minute.round() as i64)),
        );
    }
    match orders.newest_at {
        Some(at) => report.line("newest order", ago(at, status.server.now), utc(at)),
        None => report.line("newest order", "none", "of those with the ids of `producer`"),
    }
}

fn add_rounds(report: &mut Report, rounds: &Rounds, status: &Status) {
    let now = status.server.now;
    match rounds.last_at {
        Some(at) => {
            let rows = |rows: &CachedRows| format!("{} + {}", rows.new, rows.aged);
            report.line("last cache round", ago(at, now), format!("took {} ms", rounds.took_ms));
            report.line("  users", rows(&rounds.users), "new + cached longest ago");
            report.line("  products", rows(&rounds.products), "");
        }
        None => report.line("last cache round", "never", "run `cache-worker`"),
    }
    let interval = format!("one every {}", seconds(rounds.interval_ms / 1_000));
    match rounds.next_at {
        Some(_) if rounds.is_overdue => {
            report.line("next round", "OVERDUE", format!("{interval}: is a cache-worker running?"));
        }
        Some(at) if at > now => report.line("next round", format!("in {}", between(now, at)), interval),
        Some(_) => report.line("next round", "now", interval),
        None => {}
    }
    for (name, rows) in [("users", &rounds.users), ("products", &rounds.products)] {
        let at_least = if rows.never_cached == cache::MAX_COUNTED { "at least " } else { "" };
        let oldest =
            rows.oldest_cached_at.map_or_else(String::new, |at| format!("the oldest was cached {}", ago(at, now)));
        report.line(&format!("{name} never cached"), format!("{at_least}{}", count(rows.never_cached)), oldest);
    }
}

fn add_redis(report: &mut Report, redis: &RedisStatus) {
    let age = redis.age_seconds.map_or_else(|| "of unknown age".to_owned(), |age| format!("{} old", seconds(age)));
    report.line("Redis", format!("{} + {}", redis.users, redis.products), format!("users + products, {age}"));
}

fn add_sessions(report: &mut Report, sessions: &SessionStatus) {
    let SessionStatus { server_connections, max_connections, longest_transaction, .. } = sessions;
    report.line("connections", server_connections, format!("of {max_connections} of the server"));
    let hidden = if sessions.hides_others { "others are hidden: needs pg_read_all_stats" } else { "" };
    let Some(longest) = longest_transaction else { return report.line("longest transaction", "none", hidden) };
    let application = if longest.application.is_empty() { "no name" } else { &longest.application };
    let state = longest.state.as_deref().unwrap_or("state hidden");
    let waits = longest.waits_for.as_ref().map_or_else(String::new, |wait| format!(", waits for {wait}"));
    let meaning = format!("{application} (pid {}), {state}{waits}", longest.pid);
    report.line("longest transaction", seconds(longest.seconds), meaning);
}

fn add_replication(report: &mut Report, replication: &ReplicationStatus) {
    let behind = |behind: Option<f64>| behind.map_or_else(|| "-".to_owned(), |behind| format!("{behind:.1} s"));
    match replication {
        ReplicationStatus::Standby { behind_seconds } => report.line("standby", behind(*behind_seconds), "behind"),
        ReplicationStatus::Primary { standbys } => {
            for standby in standbys {
                let lag = match standby.behind_bytes {
                    Some(lag) => format!("{} behind", bytes(lag)),
                    None => "hidden: the user needs pg_monitor".to_owned(),
                };
                let states = [standby.state.as_deref(), standby.sync_state.as_deref()].into_iter().flatten();
                let meaning: Vec<&str> = std::iter::once(lag.as_str()).chain(states).collect();
                report.line(&format!("standby {}", standby.name), behind(standby.behind_seconds), meaning.join(", "));
            }
        }
    }
}

fn table_sizes(tables: &[TableStatus]) -> Table {
    let mut rows = table(["table", "rows", "total", "heap", "indexes", "TOAST"]);
    align_right(&mut rows, 1..6);
    for table in tables {
        let shown = match (table.rows, table.rows_are) {
            (Some(rows), RowsAre::Estimated) => format!("~{}", count(rows)),
            (Some(rows), _) => count(rows),
            (None, _) => "?".to_owned(),
        };
        rows.add_row([
            table.name.clone(),
            shown,
            bytes(table.total_bytes),
            bytes(table.table_bytes),
            bytes(table.index_bytes),
            bytes(table.toast_bytes),
        ]);
    }
    rows
}

fn table_upkeep(tables: &[TableStatus], status: &Status) -> Table {
    let mut rows = table(["table", "dead rows", "last VACUUM", "last ANALYZE"]);
    align_right(&mut rows, 1..2);
    for table in tables {
        let last = |at: Option<DateTime<Utc>>| at.map_or_else(|| "never".to_owned(), |at| ago(at, status.server.now));
        let dead = table.dead_rows.map_or_else(|| "-".to_owned(), count);
        rows.add_row([table.name.clone(), dead, last(table.last_vacuum), last(table.last_analyze)]);
    }
    rows
}

fn connection_rows(sessions: &SessionStatus) -> Table {
    let mut rows = table(["connections by", "state", "count"]);
    align_right(&mut rows, 2..3);
    for connections in &sessions.connections {
        let application = if connections.application.is_empty() { "-" } else { &connections.application };
        rows.add_row([application, connections.state.as_deref().unwrap_or("hidden"), &connections.count.to_string()]);
    }
    rows
}

fn index_findings(indexes: &IndexStatus, status: &Status) -> Vec<String> {
    let mut findings = Vec::new();
    if !indexes.unused.is_empty() {
        let since = status.server.statistics_since;
        let since = since.map_or_else(
            || "the database was created".to_owned(),
            |at| format!("{}, {}", utc(at), ago(at, status.server.now)),
        );
        findings.push(index_rows(&indexes.unused, "unused index").to_string());
        findings.push(format!("No query has used them since {since}."));
    }
    if !indexes.invalid.is_empty() {
        findings.push(index_rows(&indexes.invalid, "INVALID index").to_string());
        findings.push("They cost time and are never read: DROP INDEX, and create them again.".to_owned());
    }
    findings.extend(indexes.missing.iter().map(|missing| match missing {
        MissingIndex::ForeignKey { table, columns, references, deletes } => format!(
            "{table} ({columns}) has no index: each DELETE of {references} ({} so far) reads all of {table}.",
            count(*deletes)
        ),
        MissingIndex::SequentialScans { table, scans, rows_a_scan } => format!(
            "{table} was read by {} sequential scans of {} rows each: unless these are counts, a query needs an index.",
            count(*scans),
            count(*rows_a_scan)
        ),
    }));
    findings
}

fn index_rows(indexes: &[Index], what: &str) -> Table {
    let mut rows = table([what, "table", "size"]);
    align_right(&mut rows, 2..3);
    for index in indexes {
        rows.add_row([index.name.as_str(), &index.table, &bytes(index.bytes)]);
    }
    rows
}
