//! The setting for a pooler between the programs and the server: PgBouncer, Supavisor, RDS Proxy, and the like.

use clap::{Args, ValueEnum};

/// What is between the programs and the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Pooler {
    /// No pooler.
    None,
    /// A pooler that keeps a server connection for each client connection.
    Session,
    /// A pooler that may use another server connection for each transaction: statements are not prepared, and
    /// migrations and seeds need DATABASE_DIRECT_URL.
    Transaction,
}

#[derive(Clone, Copy, Debug, Args)]
pub(super) struct PoolerArgs {
    /// What is between the programs and the server. When it is not set, a pooler is detected and taken for one in
    /// transaction mode.
    #[arg(long, env, value_enum, global = true, help_heading = "Database")]
    db_pooler: Option<Pooler>,
}

impl PoolerArgs {
    pub(super) fn pooler(&self) -> Option<Pooler> {
        self.db_pooler
    }

    pub(super) fn environment(&self) -> Option<(&'static str, Option<String>)> {
        let value = self.db_pooler?.to_possible_value()?;
        Some(("DB_POOLER", Some(value.get_name().to_owned())))
    }
}
