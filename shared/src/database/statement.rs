use std::{any::TypeId, collections::HashMap, future::Future, time::Duration};

use diesel::{
    pg::{Pg, PgMetadataLookup, PgQueryBuilder, PgTypeMetadata},
    query_builder::{QueryBuilder, QueryFragment, QueryId, bind_collector::RawBytesBindCollector},
};
use tokio_postgres::{
    Client, Row, Statement,
    types::{Format, IsNull, ToSql, Type, private::BytesMut, to_sql_checked},
};

/// Runs statements that Diesel built over a `tokio-postgres` client, with a deadline, and keeps the SQLSTATE of an error,
/// which diesel-async loses. Each statement type is prepared once and kept.
pub struct StatementClient {
    client: Client,
    deadline: Duration,
    prepared: HashMap<TypeId, Statement>,
}

/// Why a statement failed.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// The server refused it, or the connection broke.
    #[error("{}", describe(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// Nothing came back in time; the statement may still run.
    #[error("no answer from the database within {0:?}")]
    Deadline(Duration),
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
            Self::Deadline(_) | Self::Build(_) => None,
        }
    }
}

impl StatementClient {
    /// Takes over `client`; every call fails after `deadline`.
    pub fn new(client: Client, deadline: Duration) -> Self {
        Self { client, deadline, prepared: HashMap::new() }
    }

    /// Whether the connection is gone.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Runs a statement and gives the number of rows that it changed.
    ///
    /// # Errors
    /// [`SqlError`]; after [`SqlError::Deadline`] the connection is of no more use.
    pub async fn execute<Q: QueryFragment<Pg> + QueryId + 'static>(&mut self, query: &Q) -> Result<u64, SqlError> {
        let (statement, binds) = self.prepare(query).await?;
        let binds: Vec<&(dyn ToSql + Sync)> = binds.iter().map(|bind| bind as _).collect();
        within(self.deadline, self.client.execute(&statement, &binds)).await
    }

    /// Runs a query and gives its rows.
    ///
    /// # Errors
    /// As [`Self::execute`].
    pub async fn query<Q: QueryFragment<Pg> + QueryId + 'static>(&mut self, query: &Q) -> Result<Vec<Row>, SqlError> {
        let (statement, binds) = self.prepare(query).await?;
        let binds: Vec<&(dyn ToSql + Sync)> = binds.iter().map(|bind| bind as _).collect();
        within(self.deadline, self.client.query(&statement, &binds)).await
    }

    async fn prepare<Q: QueryFragment<Pg> + QueryId + 'static>(
        &mut self,
        query: &Q,
    ) -> Result<(Statement, Vec<Bind>), SqlError> {
        let mut binds = RawBytesBindCollector::<Pg>::new();
        query.collect_binds(&mut binds, &mut BuiltInTypesOnly, &Pg)?;
        let id = Q::query_id().unwrap_or_else(TypeId::of::<Q>);
        let statement = match self.prepared.get(&id) {
            Some(statement) => statement.clone(),
            None => {
                let mut sql = PgQueryBuilder::default();
                query.to_sql(&mut sql, &Pg)?;
                let types = binds.metadata.iter().map(bind_type).collect::<Result<Vec<_>, _>>()?;
                let statement = within(self.deadline, self.client.prepare_typed(&sql.finish(), &types)).await?;
                self.prepared.insert(id, statement.clone());
                statement
            }
        };
        Ok((statement, binds.binds.into_iter().map(Bind).collect()))
    }
}

async fn within<T>(
    deadline: Duration,
    call: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, SqlError> {
    match tokio::time::timeout(deadline, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(SqlError::Deadline(deadline)),
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
