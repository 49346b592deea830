//! The comparison of a record with what the table has in its place.

use std::fmt;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// A field in which a record differs from what is stored in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldDifference {
    pub field: &'static str,
    pub stored: String,
    pub received: String,
}

impl fmt::Display for FieldDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, stored, received } = self;
        write!(f, "{field} (stored {stored:?}, received {received:?})")
    }
}

/// The fields that differ, in the order in which they were compared.
#[derive(Default)]
pub struct Differences(pub Vec<FieldDifference>);

impl Differences {
    pub fn compare(&mut self, field: &'static str, stored: &str, received: &str) {
        if stored != received {
            self.0.push(FieldDifference { field, stored: stored.to_owned(), received: received.to_owned() });
        }
    }

    pub fn compare_numbers(&mut self, field: &'static str, stored: i32, received: i32) {
        if stored != received {
            self.compare(field, &stored.to_string(), &received.to_string());
        }
    }

    /// Compares times at the precision of the table. A stored time that chrono can't represent, such as infinity, is
    /// `None`.
    pub fn compare_times(&mut self, field: &'static str, stored: Option<DateTime<Utc>>, received: DateTime<Utc>) {
        let received = rounded_as_inserted(received);
        if stored != received {
            self.compare(field, &time_text(stored), &time_text(received));
        }
    }
}

fn time_text(time: Option<DateTime<Utc>>) -> String {
    time.map_or_else(|| "out of range".to_owned(), |time| time.to_rfc3339_opts(SecondsFormat::Micros, true))
}

/// The time as an insert writes it: whole microseconds, counted from 2000-01-01 and rounded towards it, as Diesel does.
pub(super) fn rounded_as_inserted(time: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let epoch = DateTime::from_timestamp(946_684_800, 0)?;
    epoch.checked_add_signed(TimeDelta::microseconds((time - epoch).num_microseconds()?))
}
