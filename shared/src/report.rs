//! How a report for a person looks: what, how much (to the right), what it means.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

/// A report being written.
pub struct Report(Table);

impl Report {
    /// An empty report about `subject`.
    pub fn about(kind: &str, subject: &str) -> Self {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED).set_header([kind, subject, ""]);
        // Within the terminal, where there is one.
        table.set_content_arrangement(ContentArrangement::Dynamic);
        if let Some(column) = table.column_mut(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        Self(table)
    }

    /// Adds a line.
    pub fn line(&mut self, what: &str, value: impl ToString, meaning: impl ToString) {
        self.0.add_row([what.to_owned(), value.to_string(), meaning.to_string()]);
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
