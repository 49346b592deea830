//! Prints rows as a table, as CSV or as JSON.

use std::{
    collections::BTreeSet,
    io::{BufWriter, Write},
};

use anyhow::ensure;
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;
use shared::program::StandardOutput;
use tokio_postgres::{SimpleQueryRow, Statement, types::Type};

use crate::settings::RowFormat;

/// Number of rows of a table. It is in memory as a whole.
const TABLE_ROWS: usize = 1_000;

pub struct RowWriter {
    columns: Vec<(String, Type)>,
    output: Output,
    rows: u64,
}

enum Output {
    Table(Box<Table>),
    Csv(Box<csv::Writer<StandardOutput>>),
    Json(BufWriter<StandardOutput>),
}

impl RowWriter {
    /// Begins with the names of the columns.
    ///
    /// # Errors
    /// When stdout can't be written, or two columns of JSON have one name.
    pub fn start(format: RowFormat, statement: &Statement) -> anyhow::Result<Self> {
        let columns: Vec<(String, Type)> =
            statement.columns().iter().map(|column| (column.name().to_owned(), column.type_().clone())).collect();
        let unique: BTreeSet<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        ensure!(
            format != RowFormat::Json || unique.len() == columns.len(),
            "two columns have the same name, which a JSON object can't have: name them with AS"
        );
        let names = columns.iter().map(|(name, _)| name.as_str());
        let output = match format {
            RowFormat::Text => {
                let mut table = Table::new();
                table.load_style(presets::UTF8_FULL_CONDENSED).set_header(names);
                table.set_content_arrangement(ContentArrangement::Dynamic);
                Output::Table(Box::new(table))
            }
            RowFormat::Csv => {
                let mut writer = csv::Writer::from_writer(StandardOutput::get());
                if !columns.is_empty() {
                    writer.write_record(names)?;
                }
                Output::Csv(Box::new(writer))
            }
            RowFormat::Json => Output::Json(BufWriter::new(StandardOutput::get())),
        };
        Ok(Self { columns, output, rows: 0 })
    }

    /// Prints a row. In CSV, NULL is an empty field.
    ///
    /// # Errors
    /// When stdout can't be written.
    pub fn write(&mut self, row: &SimpleQueryRow) -> anyhow::Result<()> {
        let values = (0..self.columns.len()).map(|column| row.get(column));
        self.rows += 1;
        match &mut self.output {
            Output::Table(table) => {
                if table.row_count() < TABLE_ROWS {
                    table.add_row(values.map(|value| value.unwrap_or("NULL")));
                }
            }
            Output::Csv(writer) => writer.write_record(values.map(Option::unwrap_or_default))?,
            Output::Json(writer) => {
                let members = self
                    .columns
                    .iter()
                    .zip(values)
                    .map(|((name, kind), value)| format!("{}:{}", Value::from(name.as_str()), json(value, kind)));
                write!(writer, "{{{}}}", members.collect::<Vec<_>>().join(","))?;
                writeln!(writer)?;
            }
        }
        Ok(())
    }

    /// Prints what is left. `affected` is the number of rows of the statement.
    ///
    /// # Errors
    /// When stdout can't be written.
    pub fn end(self, affected: u64) -> anyhow::Result<()> {
        match self.output {
            Output::Table(_) if self.columns.is_empty() => println!("{}", counted(affected)),
            Output::Table(table) => {
                println!("{table}");
                let shown = table.row_count() as u64;
                let more =
                    if self.rows > shown { format!(", {shown} shown: --output csv prints all") } else { String::new() };
                println!("{}{more}", counted(self.rows));
            }
            Output::Csv(mut writer) => writer.flush()?,
            Output::Json(mut writer) => writer.flush()?,
        }
        Ok(())
    }
}

fn counted(rows: u64) -> String {
    if rows == 1 { "1 row".to_owned() } else { format!("{rows} rows") }
}

/// A value as JSON. PostgreSQL writes its JSON, its integers and its floats but NaN and infinity as JSON; they are not
/// parsed, which could lose digits. Anything else is text, also `numeric`, which readers would take for a float.
fn json(value: Option<&str>, kind: &Type) -> String {
    let text = match value {
        None => return "null".to_owned(),
        Some(text) => text,
    };
    match *kind {
        Type::BOOL => (text == "t").to_string(),
        Type::INT2 | Type::INT4 | Type::INT8 => text.to_owned(),
        Type::FLOAT4 | Type::FLOAT8 if text.ends_with(|last: char| last.is_ascii_digit()) => text.to_owned(),
        // A line break of JSON is between its tokens.
        Type::JSON | Type::JSONB => text.replace(['\n', '\r'], " "),
        _ => Value::from(text).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_in_json_has_the_type_of_its_column() {
        for (value, kind, expected) in [
            (None, Type::INT4, "null"),
            (Some("t"), Type::BOOL, "true"),
            (Some("-7"), Type::INT8, "-7"),
            (Some("1.5"), Type::FLOAT8, "1.5"),
            (Some("NaN"), Type::FLOAT8, "\"NaN\""),
            (Some("1.50"), Type::NUMERIC, "\"1.50\""),
            (Some("{\"a\":\n 123456789012345678901}"), Type::JSON, "{\"a\":  123456789012345678901}"),
            (Some("1e+20"), Type::FLOAT8, "1e+20"),
            (Some("서울"), Type::TEXT, "\"서울\""),
        ] {
            assert_eq!(json(value, &kind), expected);
        }
    }
}
