//! The tables that a program prints: one figure per row, latencies in columns, at most 80 columns wide.

use std::fmt;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::{latency::LatencySummary, ledger::StallSummary, requirement::RequirementResult};

/// Maximum width of a table, in columns of the terminal.
pub const WIDTH: u16 = 80;

/// A report of figures and latencies. Its `Display` renders the tables.
pub struct Report {
    figures: Table,
    latencies: Option<Table>,
    notes: Vec<String>,
}

impl Report {
    /// An empty report. Its header has `kind` (such as `run`) and `subject` (such as the run id).
    pub fn about(kind: &str, subject: &str) -> Self {
        let mut figures = table([kind, subject, ""]);
        align_right(&mut figures, 1..2);
        Self { figures, latencies: None, notes: Vec::new() }
    }

    /// Adds a row with a figure. `meaning` explains the value, such as by its unit or its bound.
    pub fn line(&mut self, what: &str, value: impl ToString, meaning: impl ToString) {
        self.figures.add_row([what.to_owned(), value.to_string(), meaning.to_string()]);
    }

    /// Adds a row to the table of latencies, in milliseconds. That table is below the one of the figures. The row has
    /// the number of latencies that are left out because of clock skew, if there are any.
    pub fn latency(&mut self, what: &str, latency: &LatencySummary) {
        let LatencySummary { p50, p90, p99, p999, max, clock_skew, .. } = latency;
        let columns = [p50, p90, p99, p999, max].map(|milliseconds| format!("{milliseconds:.3}"));
        let what = match clock_skew {
            0 => what.to_owned(),
            skewed => format!("{what}; {skewed} left out (clock skew)"),
        };
        self.latencies.get_or_insert_with(latency_table).add_row([what].into_iter().chain(columns));
    }

    /// Adds a row with a requirement, and whether it is met.
    pub fn requirement(&mut self, result: &RequirementResult) {
        let met = if result.met { "met" } else { "NOT MET" };
        self.line("requirement", met, format!("{}: measured {}", result.requirement, result.measured_text()));
    }

    /// Adds the longest stall of a producer.
    pub fn stall(&mut self, stall: &StallSummary) {
        let due = stall.orders_due.map_or_else(String::new, |orders| format!(", {orders} orders due"));
        self.line("stall", format!("{:.3} s", stall.seconds), format!("without acknowledgement{due}"));
    }

    /// Adds the seconds from the end of the schedule to the last acknowledgement, if there are any.
    pub fn tail(&mut self, seconds: Option<f64>) {
        if let Some(seconds) = seconds {
            self.line("tail", format!("{seconds:.3} s"), "after the schedule, part of the rate");
        }
    }

    /// Adds a line below the latencies, such as what they leave out. At most [`WIDTH`] columns.
    pub fn note(&mut self, text: &str) {
        self.notes.push(text.to_owned());
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.figures.fmt(f)?;
        self.latencies.iter().try_for_each(|latencies| write!(f, "\n{latencies}"))?;
        self.notes.iter().try_for_each(|note| write!(f, "\n{note}"))
    }
}

fn latency_table() -> Table {
    let mut latencies = table(["latency, ms", "p50", "p90", "p99", "p99.9", "max"]);
    align_right(&mut latencies, 1..6);
    latencies
}

/// An empty table with this header, in the style of all reports, at most [`WIDTH`] columns wide.
pub fn table<const COLUMNS: usize>(header: [&str; COLUMNS]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(header);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table
}

/// Aligns columns to the right, for figures. Columns are counted from 0.
pub fn align_right(table: &mut Table, columns: std::ops::Range<usize>) {
    for column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_fits_a_terminal_of_80_columns_and_has_its_latencies_in_columns() {
        let mut report = Report::about("run", "20261121-075223-e1f74c, shard 1/4");
        report.line("acknowledged", 60_000, "by the brokers, all in-sync replicas, and 5000 orders of the warm-up");
        let latency = LatencySummary { p50: 3.647, max: 123_456.789, ..LatencySummary::default() };
        report.latency("due to acknowledged", &latency);
        report.latency("sent", &LatencySummary { clock_skew: 17, ..latency });
        let text = report.to_string();
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let row = text.lines().find(|line| line.contains("due to acknowledged")).unwrap();
        assert!(row.contains("3.647") && row.contains("123456.789"), "{text}");
        assert!(text.contains("sent; 17 left out") && text.matches("left out").count() == 1, "{text}");
    }
}
