//! PostgreSQL: settings, connections, statements, the schema and its migrations.

mod args;
mod chain_verifier;
mod connect;
mod connections;
mod database_url;
mod deadline;
mod detect_pooler;
mod idle_check;
mod libpq;
pub mod migrations;
mod passwords;
mod pooler;
mod reconnect;
mod rows;
pub mod schema;
mod session;
mod settings;
mod short_lived;
mod statement;
mod tls;
mod tls_refusal;
mod types;

pub use args::{DatabaseArgs, DatabaseType};
pub use connect::{cancel, connect};
pub use connections::export_connection_limit;
pub use deadline::StatementDeadline;
pub use detect_pooler::shares_sessions;
pub use libpq::LibpqEnvironment;
pub use pooler::Pooler;
pub use reconnect::ReconnectingClient;
pub use rows::{ProductRow, UserRow};
pub use session::{connect_diesel, connect_session};
pub use settings::DatabaseSettings;
pub use statement::{SqlError, StatementClient, StatementMode};
pub use tls::TlsMode;
