//! The paths to the database.

use anyhow::{Context, ensure};
use clap::Parser;
use serde::Serialize;
use shared::database::{DatabaseArgs, DatabaseSettings};

use crate::{bench::environment::BenchEnvironment, fault::stack::Stack, settings::BenchStackSettings};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Path {
    Plain,
    /// The server is verified (`verify-full`).
    Tls,
    /// PgBouncer in transaction mode, with two connections to the server, which use TLS in any case.
    Pooler,
    /// The same, by TLS to PgBouncer as well.
    TlsPooler,
}

impl Path {
    pub const ALL: [Self; 4] = [Self::Plain, Self::Tls, Self::Pooler, Self::TlsPooler];

    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Tls => "TLS",
            Self::Pooler => "PgBouncer",
            Self::TlsPooler => "both",
        }
    }

    fn has_tls(self) -> bool {
        matches!(self, Self::Tls | Self::TlsPooler)
    }

    fn has_pooler(self) -> bool {
        matches!(self, Self::Pooler | Self::TlsPooler)
    }
}

/// How the bench's database is reached by a path: here, and in the programs that are started.
pub struct Reached {
    pub path: Path,
    pub database: DatabaseSettings,
    pub variables: Vec<(String, String)>,
}

#[derive(Parser)]
struct ByFlags {
    #[command(flatten)]
    database: DatabaseArgs,
}

/// The paths to the bench's database, which must be that of the stack.
///
/// # Errors
/// When the stack has no pooler, or its database is another one.
pub async fn paths(bench: &BenchEnvironment, stack: &BenchStackSettings) -> anyhow::Result<Vec<Reached>> {
    let stack = Stack { script: stack.stack_script.clone(), name: stack.stack.clone() };
    let variables = stack.environment(Some("--supabase")).await?;
    let value = |name: &str| {
        let found = variables.iter().find_map(|(variable, value)| value.as_ref().filter(|_| variable == name));
        found.with_context(|| format!("the stack's env --supabase has no {name}"))
    };
    let (host, port, authorities) = (value("POSTGRES_HOST")?, value("POSTGRES_PORT")?, value("SUPABASE_CA_CERT")?);
    let pooler = value("SUPABASE_POOLER_URL")?.rsplit_once(':').and_then(|(_, place)| place.split_once('/'));
    let (pooler, _) = pooler.context("SUPABASE_POOLER_URL has no port")?;
    ensure!(
        bench.database.place() == format!("{host}:{port}/{}", bench.database.database()),
        "the bench compares the ways to the database of stack {}, at {host}:{port}: set no other one than it, as \
         `deploy/stack env` does",
        stack.name
    );
    let reached = |path: Path| {
        let port = if path.has_pooler() { pooler } else { port };
        let mut flags = vec!["bench", "--database-url", "", "--db-type", "local", "--postgres-host", host];
        flags.extend(["--postgres-port", port, "--postgres-db", bench.database.database()]);
        flags.extend(["--db-pooler", if path.has_pooler() { "transaction" } else { "none" }]);
        if path.has_tls() {
            flags.extend(["--db-tls", "verify-full", "--db-ca", authorities]);
        } else {
            flags.extend(["--db-tls", "disable"]);
        }
        let arguments = ByFlags::try_parse_from(flags)?.database;
        Ok(Reached { path, database: arguments.settings()?, variables: arguments.environment() })
    };
    Path::ALL.into_iter().map(reached).collect()
}
