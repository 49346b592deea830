//! Two programs that change the schema of one database run one after the other.

use tokio_postgres::types::Type;

use crate::session::Session;

/// Advisory lock of what changes the schema.
pub const MIGRATION_LOCK: i64 = 0x6f72_6466_6c6f_774d;

/// Waits for the [`MIGRATION_LOCK`]. The server releases it at the end of the connection.
///
/// # Errors
/// When another program keeps it until the deadline.
pub async fn lock(session: &Session) -> anyhow::Result<()> {
    let Session { client, database, .. } = session;
    session
        .run(async {
            let key = &[(&MIGRATION_LOCK as _, Type::INT8)];
            if !client.query_typed_one("SELECT pg_try_advisory_lock($1)", key).await?.get::<_, bool>(0) {
                tracing::info!("another orderdb changes the schema of {database}: waiting for its end");
                client.query_typed("SELECT pg_advisory_lock($1)", key).await?;
            }
            Ok(())
        })
        .await
}
