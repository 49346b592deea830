use std::{collections::HashMap, future::Future, time::Duration};

use diesel::{
    pg::{Pg, PgMetadataLookup, PgQueryBuilder, PgTypeMetadata},
    query_builder::{QueryBuilder, QueryFragment, bind_collector::RawBytesBindCollector},
};
use tokio_postgres::{
    Client, Row, Statement,
    types::{Format, IsNull, ToSql, Type, private::BytesMut, to_sql_checked},
};

use super::{
    connect::{cancel, connect},
    settings::DatabaseSettings,
};

/// Runs statements that Diesel built over a `tokio-postgres` client, with a deadline, and keeps the SQLSTATE of an error,
/// which diesel-async loses. Each statement is prepared once and kept, where that is wanted.
pub struct StatementClient {
    client: Client,
    settings: DatabaseSettings,
    mode: StatementMode,
    deadline: Duration,
    prepared: HashMap<String, Statement>,
}

/// How a statement gets to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum StatementMode {
    /// Under a name, prepared once a connection.
    Prepared,
    /// Without a name, planned anew each time, in one go: nothing of it stays on the connection.
    Unnamed,
}

/// Why a statement failed.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// The server refused it, or the connection broke.
    #[error("{}", describe(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// Nothing came back in time. The server is asked to give the statement up, which may come too late.
    #[error("no answer from the database within {0:?}")]
    Deadline(Duration),
    /// There is no row where one always is.
    #[error("a row that the migrations make is gone")]
    NoRow,
    /// Diesel could not write the statement; a fault of ours.
    #[error("the statement can't be built: {0}")]
    Build(#[from] diesel::result::Error),
}

fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(refusal) => format!("{} (SQLSTATE {})", refusal.message(), refusal.code().code()),
        None => error.to_string(),
    }
}

impl SqlError {
    /// The server's five-character code, when the server gave one.
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Postgres(error) => error.code().map(tokio_postgres::error::SqlState::code),
            Self::Deadline(_) | Self::NoRow | Self::Build(_) => None,
        }
    }
}

impl StatementClient {
    /// Connects; every call fails after `deadline`.
    ///
    /// # Errors
    /// When the server doesn't answer within 8 s, or refuses.
    pub async fn connect(settings: &DatabaseSettings, mode: StatementMode, deadline: Duration) -> anyhow::Result<Self> {
        let client = connect(settings).await?;
        Ok(Self { client, settings: settings.clone(), mode, deadline, prepared: HashMap::new() })
    }

    /// Whether the connection is gone.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Forgets the prepared statements: each is prepared again when it is next used.
    pub fn forget_prepared(&mut self) {
        self.prepared.clear();
    }

    /// Runs a statement and gives the number of rows that it changed.
    ///
    /// # Errors
    /// [`SqlError`]; after [`SqlError::Deadline`] the connection is of no more use.
    pub async fn execute<Q: QueryFragment<Pg>>(&mut self, query: &Q) -> Result<u64, SqlError> {
        let binds = Binds::of(query)?;
        match self.mode {
            StatementMode::Prepared => {
                let statement = self.prepare(query, &binds).await?;
                self.with_deadline(self.client.execute(&statement, &binds.values())).await
            }
            StatementMode::Unnamed => self.with_deadline(self.client.execute_typed(&sql(query)?, &binds.typed())).await,
        }
    }

    /// Runs a query and gives its rows.
    ///
    /// # Errors
    /// As [`Self::execute`].
    pub async fn query<Q: QueryFragment<Pg>>(&mut self, query: &Q) -> Result<Vec<Row>, SqlError> {
        let binds = Binds::of(query)?;
        match self.mode {
            StatementMode::Prepared => {
                let statement = self.prepare(query, &binds).await?;
                self.with_deadline(self.client.query(&statement, &binds.values())).await
            }
            StatementMode::Unnamed => self.with_deadline(self.client.query_typed(&sql(query)?, &binds.typed())).await,
        }
    }

    /// Runs a query that always has a row, and gives the first.
    ///
    /// # Errors
    /// As [`Self::execute`], or when there is none.
    pub async fn query_one<Q: QueryFragment<Pg>>(&mut self, query: &Q) -> Result<Row, SqlError> {
        self.query(query).await?.into_iter().next().ok_or(SqlError::NoRow)
    }

    /// Runs `work` in a transaction, which is committed when it succeeds and rolled back when it fails.
    ///
    /// # Errors
    /// Those of `work`, and of the commit, after which the transaction may have been committed all the same.
    pub async fn transaction<T, E: From<SqlError>>(
        &mut self,
        work: impl AsyncFnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        self.batch("BEGIN").await?;
        match work(self).await {
            Ok(done) => {
                self.batch("COMMIT").await?;
                Ok(done)
            }
            Err(error) => {
                // Where even that fails, the server does it when the connection goes.
                let _ = self.batch("ROLLBACK").await;
                Err(error)
            }
        }
    }

    /// Runs statements without values, one after the other.
    ///
    /// # Errors
    /// As [`Self::execute`].
    pub async fn batch(&mut self, sql: &str) -> Result<(), SqlError> {
        self.with_deadline(self.client.batch_execute(sql)).await
    }

    async fn with_deadline<T>(
        &self,
        call: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, SqlError> {
        match tokio::time::timeout(self.deadline, call).await {
            Ok(answer) => Ok(answer?),
            Err(_) => {
                tokio::spawn(cancel(self.settings.clone(), self.client.cancel_token()));
                Err(SqlError::Deadline(self.deadline))
            }
        }
    }

    async fn prepare<Q: QueryFragment<Pg>>(&mut self, query: &Q, binds: &Binds) -> Result<Statement, SqlError> {
        let sql = sql(query)?;
        if let Some(statement) = self.prepared.get(&sql) {
            return Ok(statement.clone());
        }
        let statement = self.with_deadline(self.client.prepare_typed(&sql, &binds.types)).await?;
        self.prepared.insert(sql, statement.clone());
        Ok(statement)
    }
}

fn sql(query: &impl QueryFragment<Pg>) -> Result<String, diesel::result::Error> {
    let mut sql = PgQueryBuilder::default();
    query.to_sql(&mut sql, &Pg)?;
    Ok(sql.finish())
}

/// A statement's values and their types.
struct Binds {
    values: Vec<Bind>,
    types: Vec<Type>,
}

impl Binds {
    fn of(query: &impl QueryFragment<Pg>) -> Result<Self, diesel::result::Error> {
        let mut collected = RawBytesBindCollector::<Pg>::new();
        query.collect_binds(&mut collected, &mut BuiltInTypesOnly, &Pg)?;
        let types = collected.metadata.iter().map(bind_type).collect::<Result<_, _>>()?;
        Ok(Self { values: collected.binds.into_iter().map(Bind).collect(), types })
    }

    fn values(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.values.iter().map(|bind| bind as _).collect()
    }

    fn typed(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        self.values().into_iter().zip(self.types.iter().cloned()).collect()
    }
}

fn bind_type(metadata: &PgTypeMetadata) -> Result<Type, diesel::result::Error> {
    let oid = metadata.oid().map_err(|error| diesel::result::Error::SerializationError(Box::new(error)))?;
    Type::from_oid(oid)
        .ok_or_else(|| diesel::result::Error::SerializationError(format!("type {oid} is not built in").into()))
}

/// Our statements bind built-in types alone, so no type has to be looked up in the database.
struct BuiltInTypesOnly;

impl PgMetadataLookup for BuiltInTypesOnly {
    fn lookup_type(&mut self, _name: &str, _schema: Option<&str>) -> PgTypeMetadata {
        PgTypeMetadata::new(0, 0)
    }
}

/// A value that Diesel has already put into PostgreSQL's binary form.
#[derive(Debug)]
struct Bind(Option<Vec<u8>>);

impl ToSql for Bind {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        Ok(match &self.0 {
            Some(bytes) => {
                out.extend_from_slice(bytes);
                IsNull::No
            }
            None => IsNull::Yes,
        })
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Binary
    }

    to_sql_checked!();
}
