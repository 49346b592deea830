//! Reads the status, part by part.

use serde::Serialize;
use shared::{
    database::{DatabaseSettings, connect},
    program::Outcome,
};

use super::{
    cache::{self, RedisStatus, Rounds},
    indexes::{self, IndexStatus},
    orders::{self, OrderStatus},
    part::Part,
    replication::{self, ReplicationStatus},
    session::Session,
    sessions::{self, SessionStatus},
    tables::{self, TableStatus},
};
use crate::{latency::latency, migration_counts::MigrationCounts, server::Server, settings::StatusSettings};

/// What `--output json` prints.
#[derive(Debug, Serialize)]
pub struct Status {
    pub name: String,
    pub host: String,
    pub port: u16,
    pub database: String,
    pub server: Server,
    pub latency_ms: f64,
    pub migrations: Part<MigrationCounts>,
    pub tables: Part<Vec<TableStatus>>,
    pub orders: Part<OrderStatus>,
    pub rounds: Part<Rounds>,
    pub redis: Part<RedisStatus>,
    pub indexes: Part<IndexStatus>,
    pub sessions: Part<SessionStatus>,
    pub replication: Part<ReplicationStatus>,
}

/// # Errors
/// When the database can't be reached, or does not answer in time.
pub async fn read(name: &str, database: &DatabaseSettings, settings: &StatusSettings) -> anyhow::Result<Status> {
    let session = Session::new(connect(database).await?, database.clone(), settings.statement_deadline);
    let server = session.run(Server::read).await?;
    let (host, port) = database.address();
    Ok(Status {
        name: name.to_owned(),
        host,
        port,
        database: database.database().to_owned(),
        latency_ms: (session.run(latency).await?.as_secs_f64() * 100_000.0).round() / 100.0,
        migrations: session.run(MigrationCounts::read).await.into(),
        tables: tables::tables(&session).await.into(),
        orders: orders::orders(&session, server.now).await.into(),
        rounds: cache::rounds(&session).await.into(),
        redis: cache::redis(&settings.cache).await.into(),
        indexes: indexes::indexes(&session).await.into(),
        sessions: sessions::sessions(&session).await.into(),
        replication: replication::replication(&session, server.role).await.into(),
        server,
    })
}

impl Status {
    /// It is invalid when a part could not be read.
    pub fn outcome(&self) -> Outcome {
        let Self { migrations, tables, orders, rounds, redis, indexes, sessions, replication, .. } = self;
        let parts = [
            migrations.error(),
            tables.error(),
            orders.error(),
            rounds.error(),
            redis.error(),
            indexes.error(),
            sessions.error(),
            replication.error(),
        ];
        if parts.iter().all(Option::is_none) { Outcome::Valid } else { Outcome::Invalid }
    }
}
