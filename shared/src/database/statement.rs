use std::{
    collections::HashMap,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use diesel::{
    pg::{Pg, PgMetadataLookup, PgQueryBuilder, PgTypeMetadata},
    query_builder::{QueryBuilder, QueryFragment, bind_collector::RawBytesBindCollector},
};
use tokio_postgres::{
    CancelToken, Client, Row, Statement,
    types::{Format, IsNull, ToSql, Type, private::BytesMut, to_sql_checked},
};

use super::{
    connect::{cancel, connect_with_task},
    detect_pooler::{shares_sessions, tell_unprepared},
    idle_check::IdleCheck,
    settings::DatabaseSettings,
};

/// Runs statements that Diesel builds over a `tokio-postgres` client, each with a timeout. Unlike diesel-async, it
/// returns the SQLSTATE of an error, and can run statements behind a pooler in transaction mode.
pub struct StatementClient {
    client: Arc<Client>,
    idle_check: IdleCheck,
    expires: Option<Instant>,
    settings: DatabaseSettings,
    mode: StatementMode,
    timeout: Duration,
    prepared: HashMap<String, Statement>,
    /// Whether a call was given up: the connection must not be used again.
    timed_out: AtomicBool,
}

/// How statements are sent to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum StatementMode {
    /// As named statements, prepared once per connection. The fastest, but not for a pooler in transaction mode.
    Prepared,
    /// As unnamed statements, planned at each execution, in one round trip. Leaves no state on the connection, so it
    /// works behind a pooler in transaction mode.
    Unnamed,
}

/// The reason why a statement failed.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// The server refused the statement, or the connection was lost.
    #[error("{}", describe(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// The server did not answer in time. It gets a request to cancel the statement, but may have executed it.
    #[error("no answer from the database within {0:?}")]
    Timeout(Duration),
    /// The query returned no row. Only table `cache_rounds` is read by such queries, and the migrations insert its row.
    #[error("table cache_rounds has no row, which the migrations insert")]
    NoRow,
    /// Diesel can't build the statement: a bug in this program.
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
    /// SQLSTATE of five characters, if the error is from the server.
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Postgres(error) => error.code().map(tokio_postgres::error::SqlState::code),
            Self::Timeout(_) | Self::NoRow | Self::Build(_) => None,
        }
    }
}

impl StatementClient {
    /// Connects. `timeout` is that of each later call. Behind a pooler in transaction mode, statements are unnamed in
    /// any mode.
    ///
    /// # Errors
    /// When the server does not answer within 16 s, or refuses the connection.
    pub async fn connect(settings: &DatabaseSettings, mode: StatementMode, timeout: Duration) -> anyhow::Result<Self> {
        let (client, connection) = connect_with_task(settings).await?;
        let mode = match mode {
            StatementMode::Prepared if shares_sessions(&client, settings).await? => {
                tell_unprepared(settings);
                StatementMode::Unnamed
            }
            mode => mode,
        };
        let (client, settings) = (Arc::new(client), settings.clone());
        let idle_check = IdleCheck::start(client.clone(), connection, settings.clone());
        // At a random time before the end, so that connections that were opened together are not replaced together.
        let lifetime = settings.max_lifetime.map(|lifetime| lifetime.mul_f64(rand::random_range(0.9..=1.0)));
        let expires = lifetime.map(|lifetime| Instant::now() + lifetime);
        Ok(Self {
            client,
            idle_check,
            expires,
            settings,
            mode,
            timeout,
            prepared: HashMap::new(),
            timed_out: AtomicBool::default(),
        })
    }

    /// The token by which [`cancel`] ends the statement that runs on this connection.
    pub fn cancel_token(&self) -> CancelToken {
        self.client.cancel_token()
    }

    /// Whether the connection is closed, or must not be used again since a statement took too long.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed() || self.timed_out.load(Ordering::Relaxed)
    }

    /// Whether `DB_MAX_LIFETIME` has passed.
    pub fn has_expired(&self) -> bool {
        self.expires.is_some_and(|expires| Instant::now() > expires)
    }

    /// Drops all prepared statements. Each is prepared again at its next use.
    pub fn forget_prepared(&mut self) {
        self.prepared.clear();
    }

    /// Runs a statement. Returns the number of rows that it changed.
    ///
    /// # Errors
    /// [`SqlError`]. After [`SqlError::Timeout`] the connection must not be used again.
    pub async fn execute<Q: QueryFragment<Pg>>(&mut self, query: &Q) -> Result<u64, SqlError> {
        let binds = Binds::of(query)?;
        match self.mode {
            StatementMode::Prepared => {
                let statement = self.prepare(query, &binds).await?;
                self.with_timeout(self.client.execute(&statement, &binds.values())).await
            }
            StatementMode::Unnamed => self.with_timeout(self.client.execute_typed(&sql(query)?, &binds.typed())).await,
        }
    }

    /// Runs a query. Returns its rows.
    ///
    /// # Errors
    /// As [`Self::execute`].
    pub async fn query<Q: QueryFragment<Pg>>(&mut self, query: &Q) -> Result<Vec<Row>, SqlError> {
        let binds = Binds::of(query)?;
        match self.mode {
            StatementMode::Prepared => {
                let statement = self.prepare(query, &binds).await?;
                self.with_timeout(self.client.query(&statement, &binds.values())).await
            }
            StatementMode::Unnamed => self.with_timeout(self.client.query_typed(&sql(query)?, &binds.typed())).await,
        }
    }

    /// Runs a query that always finds a row: an aggregate, or that of table `cache_rounds`. Returns the first row.
    ///
    /// # Errors
    /// As [`Self::execute`], or [`SqlError::NoRow`].
    pub async fn query_one<Q: QueryFragment<Pg>>(&mut self, query: &Q) -> Result<Row, SqlError> {
        self.query(query).await?.into_iter().next().ok_or(SqlError::NoRow)
    }

    /// Runs `work` in a transaction. Commits when `work` returns `Ok`, rolls back when it returns an error.
    ///
    /// # Errors
    /// Those of `work`, of `BEGIN` and of `COMMIT`. After an error of `COMMIT` the transaction may be committed.
    pub async fn transaction<T, E: From<SqlError>>(
        &mut self,
        work: impl AsyncFnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        self.transaction_from("BEGIN", work).await
    }

    /// As [`Self::transaction`], begun by `begin`: `BEGIN`, and statements that are sent with it, such as `SET LOCAL`.
    ///
    /// # Errors
    /// As [`Self::transaction`].
    pub async fn transaction_from<T, E: From<SqlError>>(
        &mut self,
        begin: &str,
        work: impl AsyncFnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        self.batch(begin).await?;
        match work(self).await {
            Ok(result) => {
                self.batch("COMMIT").await?;
                Ok(result)
            }
            Err(error) => {
                // When the rollback fails, the server rolls back at the end of the connection.
                if !self.timed_out.load(Ordering::Relaxed) {
                    let _ = self.batch("ROLLBACK").await;
                }
                Err(error)
            }
        }
    }

    /// Runs statements without parameters, separated by semicolons.
    ///
    /// # Errors
    /// As [`Self::execute`].
    pub async fn batch(&mut self, sql: &str) -> Result<(), SqlError> {
        self.with_timeout(self.client.batch_execute(sql)).await
    }

    async fn with_timeout<T>(
        &self,
        call: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, SqlError> {
        let _in_use = self.idle_check.begin_use();
        match tokio::time::timeout(self.timeout, call).await {
            Ok(result) => Ok(result?),
            Err(_) => {
                self.timed_out.store(true, Ordering::Relaxed);
                tokio::spawn(cancel(self.settings.clone(), self.client.cancel_token()));
                Err(SqlError::Timeout(self.timeout))
            }
        }
    }

    async fn prepare<Q: QueryFragment<Pg>>(&mut self, query: &Q, binds: &Binds) -> Result<Statement, SqlError> {
        let sql = sql(query)?;
        if let Some(statement) = self.prepared.get(&sql) {
            return Ok(statement.clone());
        }
        let statement = self.with_timeout(self.client.prepare_typed(&sql, &binds.types)).await?;
        self.prepared.insert(sql, statement.clone());
        Ok(statement)
    }
}

fn sql(query: &impl QueryFragment<Pg>) -> Result<String, diesel::result::Error> {
    let mut sql = PgQueryBuilder::default();
    query.to_sql(&mut sql, &Pg)?;
    Ok(sql.finish())
}

/// The parameters of a statement and their types.
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

/// All parameters have built-in types, so no type must be looked up in the database.
struct BuiltInTypesOnly;

impl PgMetadataLookup for BuiltInTypesOnly {
    fn lookup_type(&mut self, _name: &str, _schema: Option<&str>) -> PgTypeMetadata {
        PgTypeMetadata::new(0, 0)
    }
}

/// A parameter in PostgreSQL's binary format, as Diesel wrote it. `None` is NULL.
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
