//! How many rows of a table are due.

use std::time::Duration;

use crate::seed::insert::BATCH_ROWS;

/// The schedule of one table, and its progress.
#[derive(Clone, Copy, Debug, Default)]
pub struct RowSchedule {
    pub rows_per_minute: u32,
    /// Number in the id of the newest row. Rows 1 to this may be changed.
    pub last_number: u64,
    /// Rows that were due and were processed.
    pub done: u64,
    /// Of `done`, those that are new. Another live seed may have inserted the others.
    pub added: u64,
    pub changed: u64,
}

impl RowSchedule {
    pub fn new(rows_per_minute: u32, last_number: u64) -> Self {
        Self { rows_per_minute, last_number, ..Self::default() }
    }

    /// Rows to add now, `elapsed` after the start; at most a batch.
    pub fn next_batch(&self, elapsed: Duration) -> u64 {
        rows_due(elapsed, self.rows_per_minute).saturating_sub(self.done).min(BATCH_ROWS as u64)
    }

    /// Counts a batch of `rows` rows.
    pub fn record(&mut self, rows: u64, added: usize, changed: usize) {
        self.last_number += rows;
        self.done += rows;
        self.added += added as u64;
        self.changed += changed as u64;
    }
}

/// Whole rows that are due after `elapsed`.
fn rows_due(elapsed: Duration, rows_per_minute: u32) -> u64 {
    (elapsed.as_micros() * u128::from(rows_per_minute) / 60_000_000) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_exact_to_the_row() {
        for (seconds, rows_per_minute, rows) in
            [(0, 600, 0), (1, 600, 10), (60, 600, 600), (59, 1, 0), (61, 1, 1), (3_600, 7, 420)]
        {
            let due = rows_due(Duration::from_secs(seconds), rows_per_minute);
            assert_eq!(due, rows, "{seconds} s at {rows_per_minute} rows per minute");
        }
        assert_eq!(rows_due(Duration::from_micros(99_999), 600), 0);
        assert_eq!(rows_due(Duration::from_millis(100), 600), 1);
    }

    #[test]
    fn overdue_rows_are_split_into_batches() {
        let mut rows = RowSchedule::new(60_000, 5);
        let elapsed = Duration::from_millis(1_500);
        let mut batches = Vec::new();
        while rows.next_batch(elapsed) > 0 {
            batches.push(rows.next_batch(elapsed));
            rows.record(rows.next_batch(elapsed), 0, 0);
        }
        assert_eq!((batches, rows.last_number), (vec![1_000, 500], 1_505));
    }
}
