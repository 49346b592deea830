//! The command line of `orderdb`.

mod audit;
mod check;
mod debug;
mod execute;
mod index;
mod input_file;
mod list;
mod migrate;
mod pull;
mod reset;
mod rows;
mod seed;
mod status;
mod validate;

use std::path::PathBuf;

use clap::{Parser, Subcommand, error::ErrorKind};
use shared::{
    completions::CompletionSettings,
    database::DatabaseArgs,
    lookup::{OrderField, ProductField, UserField},
    program::ProgramArgs,
    telemetry::{LogSettings, ProgramInfo},
};

pub use self::{
    audit::AuditSettings,
    check::CheckSettings,
    debug::DebugSettings,
    execute::{ExecuteSettings, RowFormat, StatementSource},
    index::{IndexAction, IndexNames, IndexSettings, OptionalIndex},
    input_file::InputFile,
    list::ListSettings,
    migrate::{MigrateAction, MigrateSettings, Waiting},
    pull::PullSettings,
    reset::{ResetScope, ResetSettings},
    rows::{
        CreateOrder, CreateProduct, CreateRow, CreateUser, DeleteRows, ListRows, OrderChange, OrderFilter, OrderValues,
        ProductChange, ProductFilter, ProductValues, RandomKind, RandomSettings, RowAction, RowOptions, ShowRow,
        UpdateRow, UserChange, UserFilter, UserValues,
    },
    seed::{LiveSettings, SeedSettings},
    status::StatusSettings,
    validate::ValidateSettings,
};

/// Migrates, seeds and audits the orderflow database, and checks the services.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Command {
    #[command(subcommand)]
    pub action: Action,
    /// Do it for the default database, if it is set, and for every one with a name, one after the other: check, migrate
    /// up, migrate status, seed and status.
    #[arg(long, global = true, help_heading = "Database")]
    pub all: bool,
    /// Folder with what databases have of their own: `NAME/migrations`, as --migrations, and `NAME/seed.jsonl`, as
    /// --catalog; NAME is `default` for the default one.
    #[arg(long, env = "ORDERDB_DATABASES", value_name = "FOLDER", global = true, help_heading = "Database")]
    pub databases_folder: Option<PathBuf>,
    #[command(flatten)]
    pub database: DatabaseArgs,
    #[command(flatten)]
    pub log: LogSettings,
}

impl ProgramArgs for Command {
    const PROGRAM: ProgramInfo = ProgramInfo { program: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") };

    fn log_settings(&self) -> LogSettings {
        self.log
    }
}

#[derive(Debug, Subcommand)]
pub enum Action {
    /// Apply, revert or list the schema's migrations.
    Migrate(MigrateSettings),
    /// Fill the tables with users and products; existing rows stay unchanged.
    Seed(SeedSettings),
    /// Compare a producer run with its topic and the table. Exits with 3 when an order is missing, altered or
    /// dead-lettered, or when the table has one that it must not have.
    Audit(Box<AuditSettings>),
    /// Run one SQL statement and print its rows. It can't change anything without --write.
    Execute(ExecuteSettings),
    /// Create, show, list, update and delete users.
    #[command(subcommand)]
    User(RowAction<CreateUser, UserFilter, UserChange, UserField>),
    /// Create, show, list, update and delete products.
    #[command(subcommand)]
    Product(RowAction<CreateProduct, ProductFilter, ProductChange, ProductField>),
    /// Create, show, list, update and delete orders.
    #[command(subcommand)]
    Order(RowAction<CreateOrder, OrderFilter, OrderChange, OrderField>),
    /// Print random users or products: from the cache in Redis, else from the table.
    Random(Box<RandomSettings>),
    /// Check PostgreSQL, Redis and Kafka: what works, what does not, and what to do. Changes nothing. Exits with 3 when
    /// something does not work.
    Check(Box<CheckSettings>),
    /// Compare the schema of the database with the one that this program expects. Changes nothing. Exits with 3 when
    /// something differs that a program needs.
    Validate(ValidateSettings),
    /// Print the schema of the database as SQL, by pg_dump.
    Pull(PullSettings),
    /// Create the schema again, without rows; or delete the orders only. Must be confirmed.
    Reset(ResetSettings),
    /// Create, drop or list indexes of orders that no program needs, for queries of people.
    Index(IndexSettings),
    /// List all databases that are set: whether each can be reached, its version, size, latency and migrations. Exits
    /// with 3 when one can't be reached.
    List(ListSettings),
    /// Show one database in detail: tables, orders, the cache, indexes, connections, replication. Exits with 3 when a
    /// part of it can't be read.
    Status(Box<StatusSettings>),
    /// Print all settings and where each comes from, and the versions of all programs. No secret is printed.
    Debug(Box<DebugSettings>),
    /// Print the completions for a shell: `source <(orderdb completions bash)`.
    Completions(CompletionSettings),
}

impl Action {
    /// Whether it makes sense for all databases. A revert is for one at a time, a live seed does not end, and standard
    /// input can be read once. The list always has all.
    fn accepts_all(&self) -> bool {
        match self {
            Self::Check(_) | Self::List(_) | Self::Status(_) => true,
            Self::Migrate(settings) => {
                matches!(settings.action, MigrateAction::Up { .. } | MigrateAction::Status { .. })
            }
            Self::Seed(settings) => !settings.live.live && settings.catalog != Some(InputFile::StandardInput),
            _ => false,
        }
    }
}

impl Command {
    /// Refuses `--all` for a command that is for one database, and together with `--database`.
    ///
    /// # Errors
    /// A message for people.
    pub fn check_all(&self) -> Result<(), clap::Error> {
        let refused = |message: &str| Err(clap::Error::raw(ErrorKind::ArgumentConflict, message));
        match (self.all, self.database.name()) {
            (false, _) => Ok(()),
            (true, Some(_)) => refused("--all is for all databases: leave out --database and ORDERFLOW_DATABASE\n"),
            (true, None) if !self.action.accepts_all() => {
                refused("--all is for check, migrate up, migrate status, status, and seed without --live\n")
            }
            (true, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Command::command().debug_assert();
    }
}
