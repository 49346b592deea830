//! Prints rows as a table, as CSV or as JSON.

use std::{
    collections::BTreeSet,
    io::{BufWriter, Write},
};

use anyhow::ensure;
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;
use shared::program::StandardOutput;

use crate::settings::RowFormat;

/// Number of rows of a table. It is in memory as a whole.
const TABLE_ROWS: usize = 1_000;

/// Prints rows one after the other.
pub struct RowWriter {
    columns: Vec<String>,
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
    pub fn start(format: RowFormat, columns: Vec<String>) -> anyhow::Result<Self> {
        let unique: BTreeSet<&String> = columns.iter().collect();
        ensure!(
            format != RowFormat::Json || unique.len() == columns.len(),
            "two columns have the same name, which a JSON object can't have: name them with AS"
        );
        let output = match format {
            RowFormat::Text => {
                let mut table = Table::new();
                table.load_style(presets::UTF8_FULL_CONDENSED).set_header(&columns);
                table.set_content_arrangement(ContentArrangement::Dynamic);
                Output::Table(Box::new(table))
            }
            RowFormat::Csv => {
                let mut writer = csv::Writer::from_writer(StandardOutput::get());
                if !columns.is_empty() {
                    writer.write_record(&columns)?;
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
    pub fn write<'a>(&mut self, cells: impl Iterator<Item = Cell<'a>>) -> anyhow::Result<()> {
        self.rows += 1;
        match &mut self.output {
            Output::Table(table) => {
                if table.row_count() < TABLE_ROWS {
                    table.add_row(cells.map(|cell| cell.text.unwrap_or("NULL")));
                }
            }
            Output::Csv(writer) => writer.write_record(cells.map(|cell| cell.text.unwrap_or_default()))?,
            Output::Json(writer) => {
                let members = self.columns.iter().zip(cells);
                let members = members.map(|(name, cell)| format!("{}:{}", Value::from(name.as_str()), cell.json()));
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

/// A value as PostgreSQL writes it, and what it is in JSON.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a> {
    /// None: NULL.
    pub text: Option<&'a str>,
    pub kind: CellKind,
}

/// What a value is in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellKind {
    Truth,
    Number,
    Json,
    Text,
}

impl Cell<'_> {
    /// PostgreSQL writes its JSON, its integers and its floats but NaN and infinity as JSON; they are not parsed, which
    /// could lose digits.
    fn json(self) -> String {
        let text = match self.text {
            None => return "null".to_owned(),
            Some(text) => text,
        };
        match self.kind {
            CellKind::Truth => (text == "t").to_string(),
            CellKind::Number if text.ends_with(|last: char| last.is_ascii_digit()) => text.to_owned(),
            // A line break of JSON is between its tokens.
            CellKind::Json => text.replace(['\n', '\r'], " "),
            CellKind::Number | CellKind::Text => Value::from(text).to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_in_json_has_the_type_of_its_column() {
        for (text, kind, expected) in [
            (None, CellKind::Number, "null"),
            (Some("t"), CellKind::Truth, "true"),
            (Some("-7"), CellKind::Number, "-7"),
            (Some("1.5"), CellKind::Number, "1.5"),
            (Some("NaN"), CellKind::Number, "\"NaN\""),
            (Some("1.50"), CellKind::Text, "\"1.50\""),
            (Some("{\"a\":\n 123456789012345678901}"), CellKind::Json, "{\"a\":  123456789012345678901}"),
            (Some("1e+20"), CellKind::Number, "1e+20"),
            (Some("서울"), CellKind::Text, "\"서울\""),
        ] {
            assert_eq!(Cell { text, kind }.json(), expected);
        }
    }
}
