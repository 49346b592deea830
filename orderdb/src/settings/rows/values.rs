//! Values of columns. The limits are those of the migrations.

use chrono::{DateTime, NaiveDate, Utc};
use clap::builder::{PossibleValuesParser, RangedI64ValueParser};
use shared::{catalog::UNKNOWN_GENDER, lifecycle::OrderStatus, order::PlacedStatus};

/// A text of at most `MAX` characters.
pub fn text<const MAX: usize>(text: &str) -> Result<String, String> {
    match text.chars().count() {
        too_long if too_long > MAX => Err(format!("it has {too_long} characters: the table accepts at most {MAX}")),
        _ => Ok(text.to_owned()),
    }
}

/// A text of 1 to `MAX` characters.
pub fn word<const MAX: usize>(word: &str) -> Result<String, String> {
    if word.is_empty() { Err("it is empty".to_owned()) } else { text::<MAX>(word) }
}

pub fn id(id: &str) -> Result<String, String> {
    word::<50>(id)
}

/// A status that an order may be placed with.
pub fn placed_status(text: &str) -> Result<PlacedStatus, String> {
    let status: OrderStatus = text.parse().map_err(|unknown: shared::lifecycle::UnknownStatus| unknown.to_string())?;
    let mut placed = [PlacedStatus::PaymentPending, PlacedStatus::Paid, PlacedStatus::Cancelled].into_iter();
    placed.find(|placed| OrderStatus::from(*placed) == status).ok_or_else(|| {
        format!("an order can't be placed as {status}: place it as payment_pending, paid or cancelled, then update it")
    })
}

pub fn gender() -> PossibleValuesParser {
    PossibleValuesParser::new(["M", "F", UNKNOWN_GENDER])
}

/// An amount or a number of pieces.
pub fn amount() -> RangedI64ValueParser<i32> {
    RangedI64ValueParser::new().range(0..=i64::from(i32::MAX))
}

pub fn quantity() -> RangedI64ValueParser<i32> {
    RangedI64ValueParser::new().range(1..=i64::from(i32::MAX))
}

pub fn age() -> RangedI64ValueParser<i32> {
    RangedI64ValueParser::new().range(0..=150)
}

/// A fraction, 0 to 1.
pub fn fraction(text: &str) -> Result<f64, String> {
    let fraction = text.parse().ok().filter(|fraction| (0.0..=1.0).contains(fraction));
    fraction.ok_or_else(|| "it is not a fraction from 0 to 1, such as 0.15".to_owned())
}

pub fn date(text: &str) -> Result<NaiveDate, String> {
    text.parse().map_err(|_| "it is not a day, such as 2026-01-31".to_owned())
}

pub fn time(text: &str) -> Result<DateTime<Utc>, String> {
    text.parse().map_err(|_| "it is not a time, such as 2026-01-31T09:00:00Z".to_owned())
}
