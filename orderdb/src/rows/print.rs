//! Rows on stdout.

use chrono::{DateTime, SecondsFormat, Utc};
use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table as TextTable, presets};
use serde::Serialize;
use serde_json::Value;
use shared::lookup::RowField;
use tokio_postgres::Row;

use super::table::Table;
use crate::{
    row_writer::{Cell, CellKind, RowWriter},
    settings::RowFormat,
};

/// The time at which a row was created, which [`Table`] does not have for users and products.
const CREATED_AT: &str = "created_at";

/// The columns of a row, in the order of the table.
fn columns<Row: Table>() -> Vec<&'static str> {
    Row::Field::value_variants().iter().map(|field| field.column()).collect()
}

/// The values of `columns`.
fn values<Row: Table>(row: &Row, columns: &[&str]) -> Vec<Value> {
    let mut row = serde_json::to_value(row).expect("a row has only string keys");
    columns.iter().map(|column| row[*column].take()).collect()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn write(writer: &mut RowWriter, values: &[Value]) -> anyhow::Result<()> {
    let texts: Vec<String> = values.iter().map(text).collect();
    let kind = |value: &Value| match value {
        Value::Number(_) => CellKind::Number,
        Value::Array(_) => CellKind::Json,
        _ => CellKind::Text,
    };
    writer.write(values.iter().zip(&texts).map(|(value, text)| Cell { text: Some(text), kind: kind(value) }))
}

fn start(format: RowFormat, columns: &[&str]) -> anyhow::Result<RowWriter> {
    RowWriter::start(format, columns.iter().map(|column| (*column).to_owned()).collect())
}

/// Prints one row; as text, a column per line.
///
/// # Errors
/// When stdout can't be written.
pub fn print_row<Whole: Table>(format: RowFormat, row: &Whole) -> anyhow::Result<()> {
    let columns = columns::<Whole>();
    let values = values(row, &columns);
    if format == RowFormat::Text {
        let mut table = text_table();
        for (column, value) in columns.iter().zip(&values) {
            table.add_row([(*column).to_owned(), text(value)]);
        }
        println!("{table}");
        return Ok(());
    }
    let mut writer = start(format, &columns)?;
    write(&mut writer, &values)?;
    writer.end(1)
}

/// A status in the history of an order.
#[derive(Serialize)]
pub struct HistoryLine {
    sequence: i32,
    status: String,
    reason: String,
    occurred_at: DateTime<Utc>,
}

impl From<&Row> for HistoryLine {
    fn from(row: &Row) -> Self {
        Self {
            sequence: row.get("sequence"),
            status: row.get("status"),
            reason: row.get("reason"),
            occurred_at: row.get("occurred_at"),
        }
    }
}

/// Prints one row with its history: as text below it, in JSON as its last member. CSV has the row alone.
///
/// # Errors
/// When stdout can't be written.
pub fn print_with_history<Whole: Table>(format: RowFormat, row: &Whole, history: &[HistoryLine]) -> anyhow::Result<()> {
    if format == RowFormat::Json {
        let columns = columns::<Whole>();
        let mut values = values(row, &columns);
        values.push(serde_json::to_value(history)?);
        let mut writer = start(format, &[&columns[..], &["history"]].concat())?;
        write(&mut writer, &values)?;
        return writer.end(1);
    }
    print_row(format, row)?;
    if format == RowFormat::Text {
        let mut table = text_table();
        table.set_header(["number", "status", "reason", "occurred_at"]);
        for HistoryLine { sequence, status, reason, occurred_at } in history {
            let occurred_at = occurred_at.to_rfc3339_opts(SecondsFormat::Micros, true);
            table.add_row([&sequence.to_string(), status, reason, &occurred_at]);
        }
        println!("{table}");
    }
    Ok(())
}

/// Prints the value of a field; as text, nothing else.
///
/// # Errors
/// When stdout can't be written.
pub fn print_field<Field: RowField>(format: RowFormat, field: Field, value: &Value) -> anyhow::Result<()> {
    if format == RowFormat::Text {
        println!("{}", text(value));
        return Ok(());
    }
    let mut writer = start(format, &[field.column()])?;
    write(&mut writer, std::slice::from_ref(value))?;
    writer.end(1)
}

/// Prints rows.
///
/// # Errors
/// When stdout can't be written.
pub fn print_list<Row: Table>(format: RowFormat, rows: &[Row]) -> anyhow::Result<()> {
    let columns = columns::<Row>();
    let mut writer = start(format, &columns)?;
    rows.iter().try_for_each(|row| write(&mut writer, &values(row, &columns)))?;
    writer.end(rows.len() as u64)
}

/// Prints rows with the time at which each was created; as text, only some columns.
///
/// # Errors
/// When stdout can't be written.
pub fn print_page<Row: Table>(format: RowFormat, rows: &[(Row, DateTime<Utc>)]) -> anyhow::Result<()> {
    let mut columns = if format == RowFormat::Text { Row::BRIEF.to_vec() } else { columns::<Row>() };
    columns.retain(|column| *column != CREATED_AT);
    let header: Vec<&str> = columns.iter().copied().chain([CREATED_AT]).collect();
    let mut writer = start(format, &header)?;
    for (row, created_at) in rows {
        let mut values = values(row, &columns);
        let precision = if format == RowFormat::Text { SecondsFormat::Secs } else { SecondsFormat::Micros };
        values.push(created_at.to_rfc3339_opts(precision, true).into());
        write(&mut writer, &values)?;
    }
    writer.end(rows.len() as u64)
}

/// Shows rows beside a question.
pub fn print_table_to_stderr<Row: Table>(rows: &[Row]) {
    let mut table = text_table();
    table.set_header(Row::BRIEF);
    for row in rows {
        table.add_row(values(row, Row::BRIEF).iter().map(text));
    }
    eprintln!("{table}");
}

fn text_table() -> TextTable {
    let mut table = TextTable::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table
}
