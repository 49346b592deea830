//! PostgreSQL: the connection, the schema, and rows to order with.

use std::time::Duration;

use anyhow::Context;
use shared::database::{DatabaseSettings, connect, connect_session, shares_sessions};
use tokio_postgres::Client;

use super::finding::Findings;
use crate::{databases::Database, migration_counts::MigrationCounts};

/// Timeout of all queries together.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);

const SESSION: &str = "SELECT current_setting('server_version'), \
     pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool, \
     (SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl)";

/// Whether a finding has the name of its database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseCount {
    One,
    Several,
}

pub async fn check(database: Database, databases: DatabaseCount) -> Findings {
    let mut findings = match databases {
        DatabaseCount::One => Findings::about("PostgreSQL"),
        DatabaseCount::Several => Findings::of_database("PostgreSQL", database.name),
    };
    let database = match database.settings {
        Ok(database) => database,
        Err(error) => {
            findings.failed("settings", format!("{error:#}"));
            return findings;
        }
    };
    match connect(&database).await {
        Ok(client) => {
            let checked = tokio::time::timeout(QUERY_TIMEOUT, query(&client, &database, &mut findings)).await;
            let checked = checked.with_context(|| format!("no answer within {QUERY_TIMEOUT:?}"));
            if let Err(error) = checked.flatten() {
                findings.failed("queries", format!("{error:#}"));
            }
        }
        Err(error) => findings.failed("connection", format!("{error:#}")),
    }
    findings
}

async fn query(client: &Client, database: &DatabaseSettings, findings: &mut Findings) -> anyhow::Result<()> {
    let session = client.query_typed_one(SESSION, &[]).await?;
    let (version, is_read_only, tls): (String, bool, Option<String>) = (session.get(0), session.get(1), session.get(2));
    let has_pooler = shares_sessions(client, database).await?;
    // The server knows of the connection of a pooler only.
    let tls = match has_pooler {
        true => database.uses_tls().then(|| "TLS to the pooler".to_owned()),
        false => tls,
    };
    let tls = tls.unwrap_or_else(|| "not encrypted".to_owned());
    // Debian adds its own version.
    let version = version.split(' ').next().unwrap_or_default();
    findings.ok("connection", format!("{database}, PostgreSQL {version}, {tls}"));
    if has_pooler {
        check_direct(database, findings).await;
    }
    if is_read_only {
        findings.failed("writes", "the server is a standby or read-only: name the primary server");
    }
    if check_schema(client, findings).await? {
        check_rows(client, findings).await?;
    }
    Ok(())
}

/// Migrations and seeds can't run through a pooler in transaction mode.
async fn check_direct(database: &DatabaseSettings, findings: &mut Findings) {
    match connect_session(database).await {
        Ok(_) => findings.ok("pooler", format!("in transaction mode; migrations and seeds use {}", database.direct())),
        Err(error) => findings.failed("pooler", format!("{error:#}")),
    }
}

/// Returns whether the tables can be read.
async fn check_schema(client: &Client, findings: &mut Findings) -> anyhow::Result<bool> {
    let MigrationCounts { known, missing, unknown } = MigrationCounts::read(client).await?;
    match (missing, unknown) {
        (0, 0) => findings.ok("schema", format!("all {known} migrations are applied")),
        (0, _) => findings.warning(
            "schema",
            format!(
                "all {known} migrations are applied, and {unknown} more: those of a later version, or of your own; \
                 `orderdb validate` tells whether the programs work with them"
            ),
        ),
        _ => {
            findings.failed("schema", format!("{missing} of {known} migrations are missing: run `orderdb migrate up`"));
        }
    }
    Ok(missing == 0)
}

async fn check_rows(client: &Client, findings: &mut Findings) -> anyhow::Result<()> {
    let query = "SELECT EXISTS (SELECT FROM users) AND EXISTS (SELECT FROM products)";
    match client.query_typed_one(query, &[]).await?.get(0) {
        true => findings.ok("rows", "there are users and products"),
        false => findings.failed("rows", "there are no users or no products: run `orderdb seed`"),
    }
    Ok(())
}
