//! PostgreSQL as all programs reach it: settings, connections, the schema and its migrations.

mod connect;
pub mod migrations;
mod reconnect;
mod rows;
pub mod schema;
mod settings;
mod statement;

pub use connect::{connect, connect_diesel};
pub use reconnect::ReconnectingClient;
pub use rows::{ProductRow, UserRow};
pub use settings::{DatabaseArgs, DatabaseSettings, DatabaseType};
pub use statement::{SqlError, StatementClient, StatementMode};
