//! The SQL of Diesel's migrations. Diesel only gives it to a connection, so this one keeps it.

use diesel::{
    QueryResult,
    connection::{
        AnsiTransactionManager, CacheSize, Connection, ConnectionSealed, Instrumentation, SimpleConnection,
        TransactionManager,
    },
    migration::Migration,
    pg::Pg,
    query_builder::{QueryFragment, QueryId},
    result::{ConnectionError, ConnectionResult, Error},
};

/// A connection that leads nowhere, and keeps the statements that it is given.
#[derive(Default)]
struct Recorder {
    sql: String,
    transaction: AnsiTransactionManager,
    instrumentation: Option<Box<dyn Instrumentation>>,
}

/// The statements that apply `migration`.
///
/// # Errors
/// When its file can't be read or is empty.
pub fn up_sql(migration: &dyn Migration<Pg>) -> diesel::migration::Result<String> {
    let mut recorder = Recorder::default();
    migration.run(&mut recorder)?;
    Ok(recorder.sql)
}

/// The statements that revert `migration`.
///
/// # Errors
/// When there is no file with them, or it can't be read or is empty.
pub fn down_sql(migration: &dyn Migration<Pg>) -> diesel::migration::Result<String> {
    let mut recorder = Recorder::default();
    migration.revert(&mut recorder)?;
    Ok(recorder.sql)
}

fn unsupported() -> Error {
    Error::QueryBuilderError("a migration must be SQL".into())
}

impl SimpleConnection for Recorder {
    fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
        self.sql.push_str(query);
        Ok(())
    }
}

impl ConnectionSealed for Recorder {}

impl Connection for Recorder {
    type Backend = Pg;
    type TransactionManager = AnsiTransactionManager;

    fn establish(_url: &str) -> ConnectionResult<Self> {
        Err(ConnectionError::CouldntSetupConfiguration(unsupported()))
    }

    fn execute_returning_count<T: QueryFragment<Pg> + QueryId>(&mut self, _source: &T) -> QueryResult<usize> {
        Err(unsupported())
    }

    fn transaction_state(&mut self) -> &mut <AnsiTransactionManager as TransactionManager<Self>>::TransactionStateData {
        &mut self.transaction
    }

    fn instrumentation(&mut self) -> &mut dyn Instrumentation {
        &mut self.instrumentation
    }

    fn set_instrumentation(&mut self, instrumentation: impl Instrumentation) {
        self.instrumentation = Some(Box::new(instrumentation));
    }

    fn set_prepared_statement_cache_size(&mut self, _size: CacheSize) {}
}
