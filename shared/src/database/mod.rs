//! PostgreSQL: settings, connections, statements, the schema and its migrations.

mod args;
mod connect;
mod connections;
mod deadline;
pub mod migrations;
mod passwords;
mod reconnect;
mod rows;
pub mod schema;
mod settings;
mod statement;

pub use args::{DatabaseArgs, DatabaseType};
pub use connect::{connect, connect_diesel};
pub use connections::export_connection_limit;
pub use deadline::StatementDeadline;
pub use reconnect::ReconnectingClient;
pub use rows::{ProductRow, UserRow};
pub use settings::DatabaseSettings;
pub use statement::{SqlError, StatementClient, StatementMode};
