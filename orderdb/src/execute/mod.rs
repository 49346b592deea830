//! `orderdb execute`: one statement, read-only unless told otherwise.

pub(crate) mod refusal;

use std::io::{Read, stdin};

use anyhow::{Context, bail, ensure};
use futures_util::{TryStreamExt, pin_mut};
use shared::{
    database::{DatabaseSettings, cancel, connect_session},
    program::Outcome,
    shutdown,
};
use tokio_postgres::{Client, SimpleQueryMessage, types::Type};

use self::refusal::refusal;
use crate::{
    row_writer::{Cell, CellKind, RowWriter},
    settings::{ExecuteSettings, InputFile},
};

/// Runs the statement of the settings and prints its rows.
///
/// # Errors
/// When the statement is refused, is more than one, changes rows without `--write`, or takes longer than the deadline.
pub async fn execute(settings: &ExecuteSettings, database: &DatabaseSettings) -> anyhow::Result<Outcome> {
    let sql = read_statement(settings)?;
    // The statement may change the session, which a pooler would hand to others.
    let client = connect_session(database).await?;
    let stop = shutdown::on_signal()?;
    let running = tokio::time::timeout(settings.statement_deadline, run(&client, &sql, settings));
    let reason = tokio::select! {
        ended = running => match ended {
            Ok(result) => return result.map(|()| Outcome::Valid),
            Err(_) => {
                let deadline = humantime::format_duration(settings.statement_deadline);
                format!("no answer within {deadline}, which --statement-deadline sets")
            }
        },
        () = stop.cancelled() => "interrupted".to_owned(),
    };
    cancel(database.clone(), client.cancel_token()).await;
    bail!("{reason}: the server got a request to cancel the statement")
}

fn read_statement(settings: &ExecuteSettings) -> anyhow::Result<String> {
    let sql = match (&settings.source.sql, &settings.source.file) {
        (Some(sql), _) => sql.clone(),
        (None, Some(InputFile::Path(path))) => {
            std::fs::read_to_string(path).with_context(|| format!("{} can't be read", path.display()))?
        }
        (None, _) => {
            let mut sql = String::new();
            stdin().read_to_string(&mut sql).context("standard input can't be read")?;
            sql
        }
    };
    ensure!(!sql.trim().is_empty(), "there is no statement: write one in --sql or --file");
    Ok(sql)
}

/// The simple protocol returns every type as text, but accepts several statements. The extended protocol refuses more
/// than one when it prepares them, and changes nothing.
async fn run(client: &Client, sql: &str, settings: &ExecuteSettings) -> anyhow::Result<()> {
    // The first query fixes the mode of the transaction: the statement can't change it.
    client.batch_execute("BEGIN READ ONLY; SELECT 1").await?;
    let statement = client.prepare(sql).await.map_err(|error| refusal(&error, sql))?;
    ensure!(statement.params().is_empty(), "the statement has parameters, such as $1: write their values instead");
    let columns = statement.columns();
    let kinds: Vec<CellKind> = columns.iter().map(|column| kind_of(column.type_())).collect();
    let rows = RowWriter::start(settings.output, columns.iter().map(|column| column.name().to_owned()).collect())?;
    drop(statement);
    if settings.write {
        // In a transaction of its own, so that VACUUM and the like are possible.
        client.batch_execute("ROLLBACK").await?;
        return print(client, sql, rows, &kinds).await;
    }
    print(client, sql, rows, &kinds).await?;
    client.batch_execute("ROLLBACK").await?;
    Ok(())
}

/// What a value of this type is in JSON. A `numeric` is text: readers would take it for a float.
fn kind_of(column: &Type) -> CellKind {
    match *column {
        Type::BOOL => CellKind::Truth,
        Type::INT2 | Type::INT4 | Type::INT8 | Type::FLOAT4 | Type::FLOAT8 => CellKind::Number,
        Type::JSON | Type::JSONB => CellKind::Json,
        _ => CellKind::Text,
    }
}

async fn print(client: &Client, sql: &str, mut rows: RowWriter, kinds: &[CellKind]) -> anyhow::Result<()> {
    let messages = client.simple_query_raw(sql).await.map_err(|error| refusal(&error, sql))?;
    pin_mut!(messages);
    let mut affected = None;
    while let Some(message) = messages.try_next().await.map_err(|error| refusal(&error, sql))? {
        match message {
            SimpleQueryMessage::Row(row) => {
                rows.write(kinds.iter().enumerate().map(|(at, &kind)| Cell { text: row.get(at), kind }))?;
            }
            SimpleQueryMessage::CommandComplete(count) => affected = Some(count),
            _ => {}
        }
    }
    rows.end(affected.unwrap_or_default())
}
